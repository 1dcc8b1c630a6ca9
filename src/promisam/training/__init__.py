"""Learning: the contract of trainable methods, the loop, losses, augmentation, checkpoints."""

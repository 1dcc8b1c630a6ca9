"""Segment Anything, written once: encoders, prompt encoder, mask decoder, and their weights."""

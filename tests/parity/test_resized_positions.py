"""Position tables of SAM ViT-B at another frame size, against recorded values."""

from __future__ import annotations

from parity.golden import Golden
from promisam.sam.checkpoint import sam_from_state


def test_vit_b_at_384(shared):
    golden = Golden(shared / "golden", "imedsam_load")
    sam = sam_from_state(golden.weights(golden.keys("sam_vit_b")), side=384)
    golden.compare("pos_embed", sam.image_encoder.pos_embed)
    for key in (k for k in golden.meta["outputs"] if k.startswith("block")):
        block, table = key.split(".")
        attention = sam.image_encoder.blocks[int(block.removeprefix("block"))].attn
        golden.compare(key, getattr(attention, table))
    golden.assert_complete()
    assert sam.prompt_encoder.shape.grid == 24
    assert sam.side == sam.prompt_encoder.shape.side == 384

"""All that learns in I-MedSAM."""

from __future__ import annotations

import copy

from torch import nn

from promisam.methods.imedsam.codes import PositionCode
from promisam.methods.imedsam.config import Config
from promisam.methods.imedsam.field import ImplicitField
from promisam.sam.model import Sam


class Network(nn.Module):
    """Adapters of the encoder, the prompt encoder and the decoder's up-sampling as copies that learn, and the field.

    Args:
        sam: whose prompt encoder and up-sampling are copied.
        adapters: of the encoder's blocks.
        code: of places.
        config: options.
        classes: how many.
    """

    def __init__(self, sam: Sam, adapters: nn.ModuleList, code: PositionCode, config: Config, classes: int) -> None:
        super().__init__()
        self.adapters = adapters
        self.prompt_encoder = copy.deepcopy(sam.prompt_encoder).requires_grad_(True)
        self.upscaling = copy.deepcopy(sam.mask_decoder.output_upscaling).requires_grad_(True)
        self.field: ImplicitField | None = None
        if config.decoder == "field":
            width = sam.mask_decoder.shape.width
            inputs = width // 8 + width + code.dims
            self.field = ImplicitField(inputs, classes, share=config.sampling, passes=config.passes, zero=config.adds_prior)
        self.rates = dict.fromkeys(("adapters.", "prompt_encoder.", "upscaling."), config.encoder_rate)

"""How a method is trained: every number that is not the method's own."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from promisam.core.errors import InvalidConfig

Precision = Literal["no", "bf16", "fp16"]


class Recipe(BaseModel):
    """Options of training.

    Attributes:
        epochs: how often every example is visited; 0 saves the untrained method.
        batch: samples of one step on one process; with several processes a step takes that many on each.
        accumulate: batches whose gradients are averaged before the weights move.
        optimizer: "adamw", or "adam" (no weight decay), or "sgd" (Nesterov momentum 0.99, as nnU-Net).
        learning_rate: at its highest.
        weight_decay: of AdamW and SGD.
        schedule: "constant"; "cosine" to zero; or "poly", (1 - t) ** 0.9, as nnU-Net.
        warmup: share of all steps over which the learning rate rises from zero.
        clip: largest norm of the gradient; 0 for no limit.
        mixed_precision: of the network that is trained: "no" is float32 throughout; "fp16" needs a GPU.
        validate_every: epochs between validations (and checkpoints).
        choose: which weights are kept: "best", of the best validation, or "last", where labels are too few to choose by.
        patience: validations without a better score before training stops; 0 to never stop early.
        preview_every: validations between preview pictures; 0 for none.
        workers: processes that prepare samples; 0 for none beside the trainer.
        seed: of everything random.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(60, ge=0)
    batch: int = Field(8, ge=1)
    accumulate: int = Field(1, ge=1)
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["constant", "cosine", "poly"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1)
    clip: float = Field(1.0, ge=0)
    mixed_precision: Precision = "no"
    validate_every: int = Field(5, ge=1)
    choose: Literal["best", "last"] = "best"
    patience: int = Field(0, ge=0)
    preview_every: int = Field(1, ge=0)
    workers: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _patience_is_for_the_best(self) -> Recipe:
        if self.choose == "last" and self.patience:
            raise ValueError("patience waits for a better validation, which choose=last does not look at")
        return self

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, value: object) -> object:
        """True would pass as 1."""
        if isinstance(value, bool):
            raise ValueError("a number or a word, and not true or false")
        return value


def fabric_precision(mixed: Precision, accelerator: str) -> str:
    """What Fabric calls it.

    Raises:
        InvalidConfig: for fp16 on a CPU, in whose place Fabric would take bf16.
    """
    if mixed == "fp16" and accelerator == "cpu":
        raise InvalidConfig(
            "mixed_precision = fp16 on a CPU", expected="no or bf16 there", do="Change the option, or compute on a GPU."
        )
    return {"no": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[mixed]

"""Every size of the model in one frozen value; NANO and WAN_1_3B are two values of it.

Knows no torch. Sizes that follow from others are properties, so that no literal repeats them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from liveedit_cam.errors import EditorError, UsageError, WeightsError
from liveedit_cam.types import ModelSize

Prediction = Literal["flow", "source_change"]
"""What the network's output means: the flow (noise - x0), or x0 minus the source latent."""
ReusePart = Literal["self_attention", "ffn", "network"]
"""What can be reused: outputs within every block, or of the whole network, which leaves tokens out
of whole passes."""
CodecKind = Literal["own", "wan"]
"""Our linear codec, or Wan2.1's autoencoder."""
WAN_CHANNELS = 16
"""Of its latents; no codec of ours has so few."""
CacheTarget = Literal["none", ReusePart]
"""Whose outputs the mask cache stores and reuses."""


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """Sizes of the video codec."""

    latent_channels: int
    spatial_stride: int = 8
    """Pixels per latent cell, both ways."""
    frames_per_latent: int = 4
    decoder_width: int = 64
    decoder_blocks: int = 2
    kind: CodecKind = "own"


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Sizes of the text encoder."""

    width: int
    """D of the embeddings handed to the DiT."""
    max_tokens: int
    num_layers: int = 2
    num_heads: int = 4
    num_buckets: int = 8192
    """Rows of the hashed table for words and character n-grams."""


@dataclass(frozen=True, slots=True)
class SourceEncoderConfig:
    """Sizes of the source encoder, from fine cells to coarse ones."""

    widths: tuple[int, int, int] = (64, 128, 256)
    """Channels at the latents' own size, at half and at a quarter of it."""
    depths: tuple[int, int, int] = (2, 3, 3)
    """Residual blocks of each on the way down."""
    num_matches: int = 8
    """Maps of where the source is like what the instruction names."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One CausalDiT with its codec, text encoder, window and schedule."""

    name: str
    dim: int
    ffn_dim: int
    num_layers: int
    num_heads: int
    codec: CodecConfig
    text: TextConfig
    prediction: Prediction
    height: int
    """Height in pixels of the landscape picture the model edits at."""
    width: int
    chunk_latents: int
    """Latents edited in one go."""
    window_latents: int
    """Latents visible to attention: sinks, history and the current chunk."""
    num_sink_latents: int
    timesteps: tuple[int, ...] = (1000, 750, 500, 250)
    context_pass: bool = True
    """Run the clean-context pass after the steps, as the paper does; False takes the last step's
    keys and values: one pass less, and a history a little noisier."""
    shift: float = 5.0
    freq_dim: int = 256
    patch: int = 2
    """Latent cells per token, both ways."""
    position_waves: int = 0
    """Cosines per axis that tell a token its place in the picture; 0 = rotary positions alone."""
    text_modulation: bool = False
    """Shift, scale and gate every block by the instruction's summary row, as by the timestep."""
    source_encoder: SourceEncoderConfig | None = None
    """Tells every token what is where in the source; None = it finds out by itself."""
    eps: float = 1e-6
    mask_threshold: float = 0.003
    """Mask cache: mean squared latent change above which a token is recomputed."""
    mask_dilation: int = 1
    """Mask cache: tokens by which the mask grows, for motion."""
    mask_share: float | None = None
    """Mask cache: share of each latent's tokens that is recomputed, those that changed most in the
    same latent of the last chunk, as the paper's code does; None = those above the threshold."""
    mask_alignment: bool = False
    """Mask cache: shift fresh outputs of the self-attention so that their mean is that of the
    stored ones they replace, channel by channel."""
    mask_target: CacheTarget = "self_attention"
    """Mask cache: what it reuses; the paper's is the self-attention."""
    squeezes: bool = False
    """Every picture is edited at exactly ``width`` x ``height``, whatever its aspect ratio."""

    def __post_init__(self) -> None:
        if self.dim % self.num_heads or self.head_dim % 2:
            raise WeightsError(
                f"got dim {self.dim} with {self.num_heads} heads, expected an even head size"
            )
        if self.window_latents < self.num_sink_latents + self.chunk_latents:
            raise WeightsError(
                f"got a window of {self.window_latents} latents, expected at least the "
                f"{self.num_sink_latents} sinks and the {self.chunk_latents} of a chunk"
            )
        if self.mask_share is not None and not 0 < self.mask_share <= 1:
            raise WeightsError(f"got mask_share {self.mask_share}, expected a share from 0 to 1")
        if self.mask_target not in get_args(CacheTarget):
            raise WeightsError(
                f"got mask_target {self.mask_target!r}, expected one of "
                f"{', '.join(get_args(CacheTarget))}"
            )
        if self.mask_target == "network" and self.prediction == "flow":
            raise WeightsError(
                "got mask_target 'network' for a model that predicts the flow, expected "
                "self_attention: a flow belongs to the noise of its own step"
            )

    @property
    def head_dim(self) -> int:
        """Channels per attention head."""
        return self.dim // self.num_heads

    @property
    def latent_channels(self) -> int:
        """C of a latent."""
        return self.codec.latent_channels

    @property
    def chunk_frames(self) -> int:
        """Frames of one chunk."""
        return self.chunk_latents * self.codec.frames_per_latent

    @property
    def token_px(self) -> int:
        """Pixels per token, both ways."""
        return self.patch * self.codec.spatial_stride

    @property
    def num_tokens(self) -> int:
        """Tokens of one latent at the model's own picture size."""
        return (self.height // self.token_px) * (self.width // self.token_px)

    @property
    def size(self) -> ModelSize:
        """Picture sizes it edits at."""
        fixed = (self.width, self.height) if self.squeezes else None
        return ModelSize(self.token_px, self.num_tokens, fixed)

    def shares_stream(self, other: ModelConfig) -> bool:
        """Whether a stream begun with ``other`` can go on with this: they differ in pace alone."""
        return self == dataclasses.replace(
            other,
            timesteps=self.timesteps,
            context_pass=self.context_pass,
            mask_threshold=self.mask_threshold,
            mask_share=self.mask_share,
            mask_alignment=self.mask_alignment,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Inverse of ``to_dict``. Raises WeightsError for unknown or missing keys."""
        try:
            return cls(
                **{
                    **values,
                    "codec": _codec(values["codec"]),
                    "text": TextConfig(**values["text"]),
                    "source_encoder": _source_encoder(values.get("source_encoder")),
                    "timesteps": tuple(values["timesteps"]),
                }
            )
        except (TypeError, KeyError) as error:
            raise WeightsError(
                f"got a config.json that does not describe a model ({error}), expected the keys "
                f"of ModelConfig",
                hint="Reinstall the package or pull the model again.",
            ) from error


def _codec(values: Mapping[str, Any]) -> CodecConfig:
    """Written before there was ``kind``, the number of channels tells it."""
    is_wan = values["latent_channels"] == WAN_CHANNELS
    return CodecConfig(**{"kind": "wan" if is_wan else "own", **values})


def _source_encoder(values: Mapping[str, Any] | None) -> SourceEncoderConfig | None:
    if values is None:
        return None
    sizes = {name: tuple(values[name]) for name in ("widths", "depths")}
    return SourceEncoderConfig(**{**values, **sizes})


NANO = ModelConfig(
    name="nano",
    dim=256,
    ffn_dim=768,
    num_layers=6,
    num_heads=4,
    codec=CodecConfig(latent_channels=48),
    text=TextConfig(width=192, max_tokens=24),
    prediction="source_change",
    height=176,
    width=320,
    chunk_latents=1,
    window_latents=3,
    num_sink_latents=1,
    freq_dim=128,
    position_waves=8,
    text_modulation=True,
    source_encoder=SourceEncoderConfig(),
    mask_threshold=0.1,  # local edits recompute 38 % of the tokens, 43 % at 0.003
    mask_dilation=0,  # its tokens are 16 pixels wide; grown, 51 % are recomputed instead of 28
    mask_target="network",
)

WAN_1_3B = ModelConfig(
    name="liveedit-1.3b",
    dim=1536,
    ffn_dim=8960,
    num_layers=30,
    num_heads=12,
    codec=CodecConfig(latent_channels=WAN_CHANNELS, decoder_width=96, kind="wan"),
    text=TextConfig(width=4096, max_tokens=512, num_layers=24, num_heads=64),
    prediction="flow",
    height=480,
    width=832,
    chunk_latents=3,
    window_latents=12,
    num_sink_latents=3,
    mask_share=0.3,
    mask_alignment=True,
)

PRESETS = {config.name: config for config in (NANO, WAN_1_3B)}


PAPER_WINDOW = 21
"""Latents of the paper's clips, all of which it sees."""


def with_window(config: ModelConfig, window_latents: int) -> ModelConfig:
    """The same model with another window, of whole chunks. Raises UsageError."""
    least = config.num_sink_latents + config.chunk_latents
    if window_latents < least or window_latents % config.chunk_latents:
        raise UsageError(
            f"got a window of {window_latents} latents, expected whole chunks of "
            f"{config.chunk_latents}, {least} or more, for {config.name}"
        )
    return dataclasses.replace(config, window_latents=window_latents)


def paper_mode(config: ModelConfig) -> ModelConfig:
    """As the paper's code runs it: 21 latents and no sinks, every picture squeezed to one size.

    Beyond 21 latents the oldest go, as its code's rolling window does. Raises UsageError for a
    model that is not the paper's: one that predicts no flow.
    """
    if config.prediction != "flow":
        raise UsageError(
            f"got paper mode for {config.name}, expected the paper's own model",
            hint="Choose --model liveedit-1.3b.",
        )
    return dataclasses.replace(
        config,
        window_latents=PAPER_WINDOW,
        num_sink_latents=0,
        timesteps=(1000, 750, 500, 250),
        context_pass=True,
        mask_share=0.3,
        mask_alignment=True,
        squeezes=True,
    )


def model_size(config: ModelConfig, height: int, width: int) -> tuple[int, int]:
    """Height and width in pixels the model edits an ``height`` x ``width`` picture at.

    Whole tokens, no more than the model's own number, the aspect ratio as near as that allows.
    """
    if height < 16 or width < 16:
        raise EditorError(
            f"got a picture of {width}x{height} pixels, expected at least 16x16",
            hint="Choose a larger source or region.",
        )
    wide, high = config.size.of(width, height)
    return high, wide

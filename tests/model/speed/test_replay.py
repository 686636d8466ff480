"""Recorded passes and what they need: few counts of tokens, fixed memory, no look at the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tiny_model import (
    CPU,
    PAIRED,
    WORDS,
    draw_latents,
    moving_frames,
    tiny_codec,
    tiny_dit,
    tiny_text,
    tiny_text_kv,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from liveedit_cam.model import EditStream
from liveedit_cam.model.attention import Kernels, attend, rotate
from liveedit_cam.model.codec import CodecStream
from liveedit_cam.model.config import ReusePart
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.generator import Denoiser, denoise_chunk
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.latent_stream import Networks
from liveedit_cam.model.mask_cache import MaskCache
from liveedit_cam.model.schedule import FlowSchedule
from liveedit_cam.model.speed.fast import Speed
from liveedit_cam.model.speed.replay import Recorder, ReplayedDiT

GRID = (PAIRED.height // PAIRED.token_px, PAIRED.width // PAIRED.token_px)
CHUNK_TOKENS = PAIRED.chunk_latents * GRID[0] * GRID[1]
SCHEDULE = FlowSchedule(PAIRED.timesteps, PAIRED.shift)
NUM_CHUNKS = 8
ROUNDING = 1e-6
"""float64 but for rotation and RMS norm in float32; gathered products may round differently."""


class AddressRecorder:
    """What a CUDA graph does, on the CPU: the same operations on the same memory, no Python.

    A replay runs the operations noted on their very tensors and writes each result to where it
    was, so what was not copied into that memory is not seen.
    """

    def __init__(self, device: torch.device = CPU) -> None:
        self.device = device
        self.num_recorded = 0
        self.num_replayed = 0

    def record(self, work: Callable[[], Tensor | None]) -> Callable[[], Tensor | None]:
        work()  # as CudaRecorder warms up
        self.num_recorded += 1
        operations = Operations()
        with operations:
            out = work()

        def replay() -> Tensor | None:
            self.num_replayed += 1
            for call in operations.calls:
                again = call.function(*call.args, **call.kwargs)
                for kept, new in zip(tree_leaves(call.out), tree_leaves(again), strict=True):
                    if isinstance(kept, Tensor) and kept.data_ptr() != new.data_ptr():
                        kept.copy_(new)
            return out

        return replay


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation as it was run."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any


class Operations(TorchDispatchMode):
    """Notes the operations run under it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Operation] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.calls.append(Operation(func, args, kwargs or {}, func(*args, **(kwargs or {}))))
        return self.calls[-1].out


def edits(
    denoiser: Denoiser,
    cache: KVCache,
    mask: MaskCache | None,
    texts: Sequence[Sequence[TextKV]],
    *,
    before: Callable[[int], None] = lambda chunk: None,
    context_pass: bool = True,
) -> list[Tensor]:
    """Chunks denoised in float64, the text of each in turn; ``before`` acts before each."""
    noise = torch.Generator().manual_seed(4)
    outputs = []
    for chunk, text in enumerate(texts):
        before(chunk)
        source = draw_latents(PAIRED, PAIRED.chunk_latents, seed=chunk).double()
        outputs.append(
            denoise_chunk(
                denoiser, source, text, SCHEDULE, cache, mask, noise, context_pass=context_pass
            )
        )
    return outputs


def difference(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def cache(*, keeps_rotated: bool = True) -> KVCache:
    return KVCache(PAIRED, GRID, CPU, torch.float64, keeps_rotated=keeps_rotated)


@pytest.fixture(scope="module")
def double() -> CausalDiT:
    """Random weights in float64; nobody changes them."""
    return tiny_dit(PAIRED).double()


def test_keys_turned_in_every_call(double: CausalDiT) -> None:
    """Catches keys turned by the positions of another time, masked steps above all."""
    texts = [tiny_text_kv(double)] * NUM_CHUNKS
    ran = []
    for keeps_rotated in (True, False):
        mask = MaskCache(PAIRED)
        some = torch.arange(CHUNK_TOKENS) % 3 == 1

        def force(chunk: int, mask: MaskCache = mask, some: Tensor = some) -> None:
            mask.edit_mask = some if chunk else None

        ran.append(edits(double, cache(keeps_rotated=keeps_rotated), mask, texts, before=force))
    assert difference(*ran) == 0.0
    kept, turned = cache(), cache(keeps_rotated=False)
    assert turned.num_bytes * 3 == kept.num_bytes * 2


def test_kernels_are_used(double: CausalDiT) -> None:
    """Catches a cache that rotates or attends by itself."""
    calls: list[str] = []

    def noted_rotate(x: Tensor, rotation: Tensor) -> Tensor:
        calls.append("rotate")
        return rotate(x, rotation)

    def noted_attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        calls.append("attend")
        return attend(q, k, v)

    kernels = Kernels(noted_rotate, noted_attend)
    fast = KVCache(PAIRED, GRID, CPU, torch.float64, kernels=kernels, keeps_rotated=False)
    edits(double, fast, None, [tiny_text_kv(double)])
    assert calls.count("attend") == 4 * PAIRED.num_layers + PAIRED.num_layers
    assert calls.count("rotate") == 2 * calls.count("attend")


@pytest.mark.parametrize("target", get_args(ReusePart))
def test_padded_equals_unpadded(double: CausalDiT, target: ReusePart) -> None:
    """Catches padding that reaches the result: recomputing more is the unpadded path of that mask.

    Seven tokens become twelve in another order; the twin is asked for those twelve exactly.
    """
    texts = [tiny_text_kv(double)] * NUM_CHUNKS
    asked = torch.arange(CHUNK_TOKENS) % 7 == 3
    config = replace(PAIRED, mask_target=target)
    padded, exact = MaskCache(config, num_buckets=4), MaskCache(config)
    padded.edit_mask = asked
    padded.begin_step(1, 4)
    tokens = padded.tokens(target)
    assert tokens is not None
    assert len(tokens) > int(asked.sum())
    grown = torch.zeros_like(asked)
    grown[tokens] = True

    def force(mask: MaskCache, to: Tensor) -> Callable[[int], None]:
        def before(chunk: int) -> None:
            mask.reset()
            mask.edit_mask = to if chunk else None

        return before

    got = edits(double, cache(), padded, texts, before=force(padded, asked))
    expected = edits(double, cache(), exact, texts, before=force(exact, grown))
    assert difference(got, expected) < ROUNDING
    fewer = MaskCache(config)
    assert difference(got, edits(double, cache(), fewer, texts, before=force(fewer, asked))) > 1e-3


@pytest.mark.parametrize("target", get_args(ReusePart))
def test_nothing_in_a_chunk_waits_for_the_device(double: CausalDiT, target: ReusePart) -> None:
    """Catches a number read back inside the chunk: each would stop the GPU until it is empty.

    Operations that need a value on the host cannot run on the device "meta" and are listed by name
    for the CPU; the one copy, in ``plan``, reads a list and is no such operation.
    """
    mask = MaskCache(replace(PAIRED, mask_target=target), num_buckets=4)
    operations = Operations()
    with torch.inference_mode(), operations:
        edits(double, cache(keeps_rotated=False), mask, [tiny_text_kv(double)] * NUM_CHUNKS)
    names = {str(call.function) for call in operations.calls}
    waiting = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal.", "unique", "masked_select")
    assert [name for name in names if any(word in name for word in waiting)] == []
    with torch.device("meta") as meta:
        dit = CausalDiT(PAIRED)
        text = dit.text_kv(torch.zeros(1, 5, PAIRED.text.width))
        source = torch.zeros(1, PAIRED.latent_channels, 2, 8, 12)
    window = KVCache(PAIRED, GRID, meta, torch.float32)
    denoise_chunk(dit, source, text, SCHEDULE, window, mask=None, noise=torch.Generator())


@pytest.mark.parametrize("target", get_args(ReusePart))
@pytest.mark.parametrize("keeps_rotated", [True, False])
def test_replays_equal_the_plain_path(
    double: CausalDiT, keeps_rotated: bool, target: ReusePart
) -> None:
    """Catches inputs, text, tokens or stored outputs that a replay reads from old memory.

    The window rolls, the mask changes its bucket from chunk to chunk, the text changes twice and
    comes back, the stream starts again.
    """
    first, second = tiny_text_kv(double, 1), tiny_text_kv(double, 2)
    texts = [first] * 6 + [second] * 3 + [first] * 3
    masks = [None, 5, 20, 3, 30, 5, None, 13, 40, 5, 48, 0]

    def run(denoiser: Denoiser, window: KVCache) -> list[Tensor]:
        mask = MaskCache(replace(PAIRED, mask_target=target), num_buckets=4)

        def before(chunk: int) -> None:
            count = masks[chunk]
            mask.reset()
            mask.edit_mask = None if count is None else torch.arange(CHUNK_TOKENS) >= 48 - count

        with torch.inference_mode():
            out = edits(denoiser, window, mask, texts, before=before)
            window.reset()
            return out + edits(denoiser, window, mask, texts, before=before)

    plain, window = cache(keeps_rotated=keeps_rotated), cache(keeps_rotated=keeps_rotated)
    recorder = AddressRecorder()
    got = run(ReplayedDiT(double, window, recorder), window)
    assert difference(got, run(double, plain)) == 0.0
    # storing, whole, buckets of 12, 24, 36, the context pass; 9 of 12 chunks have a full window
    assert recorder.num_recorded == 6
    assert recorder.num_replayed == 2 * 9 * 5


def test_a_replay_runs_none_of_the_networks_python() -> None:
    """Catches a "replay" that runs the network again."""
    dit = tiny_dit(PAIRED).double()
    text = tiny_text_kv(dit)
    window = cache()
    denoiser = ReplayedDiT(dit, window, AddressRecorder())
    passes: list[object] = []
    dit.blocks[0].register_forward_pre_hook(lambda *_: passes.append(None))
    with torch.inference_mode():
        edits(denoiser, window, None, [text] * 4)
        warm = len(passes)
        edits(denoiser, window, None, [text] * 4)
    assert len(passes) == warm


def test_what_cannot_be_recorded_runs_plainly(double: CausalDiT) -> None:
    """Catches recordings over another cache, or with a mask cache that changes its memory."""
    recorder, text = AddressRecorder(), tiny_text_kv(double)
    denoiser = ReplayedDiT(double, cache(), recorder)
    expected = edits(double, cache(), None, [text] * 6)
    assert difference(edits(denoiser, cache(), None, [text] * 6), expected) == 0.0
    assert recorder.num_recorded == 0
    window = cache()
    own = edits(ReplayedDiT(double, window, recorder), window, MaskCache(PAIRED), [text] * 6)
    assert difference(own, edits(double, cache(), MaskCache(PAIRED), [text] * 6)) == 0.0
    assert recorder.num_recorded == 1  # the context pass, which has no mask


def test_a_text_of_another_length_is_recorded_anew(double: CausalDiT) -> None:
    """Catches a copy into memory of the old length."""
    short = [(k[:, :3], v[:, :3]) for k, v in tiny_text_kv(double)]
    texts = [tiny_text_kv(double)] * 5 + [short] * 2
    window = cache()
    with torch.inference_mode():
        got = edits(ReplayedDiT(double, window, AddressRecorder()), window, None, texts)
        assert difference(got, edits(double, cache(), None, texts)) == 0.0


def test_without_the_context_pass_the_last_step_stays(double: CausalDiT) -> None:
    """Catches a chunk committed with keys of an earlier step, or a pass that is run after all."""
    window, passes = cache(), []
    dit = tiny_dit(PAIRED).double()
    dit.blocks[0].register_forward_pre_hook(lambda *_: passes.append(window.num_latents))
    text = tiny_text_kv(dit)
    kept: list[Tensor] = []
    dit.blocks[-1].register_forward_hook(
        lambda *_: kept.append(window._k[:, :, : 2 * GRID[0] * GRID[1]].clone())
    )
    edits(dit, window, None, [text], context_pass=False)
    assert len(passes) == 4
    keys = torch.stack([window.history(layer)[0] for layer in range(PAIRED.num_layers)])
    assert torch.equal(keys, kept[-1])
    assert not torch.equal(kept[-1], kept[-2])
    other = cache()
    edits(double, other, None, [text])
    assert not torch.equal(other.history(1)[0], keys[1])


def fast_stream(speed: Speed, recorder: Recorder) -> EditStream:
    codec = CodecStream(tiny_codec(PAIRED.codec))
    networks = Networks(tiny_dit(PAIRED), codec, tiny_text(PAIRED.text), frozenset(WORDS))
    return EditStream(
        PAIRED, networks, CPU, torch.float32, speed=speed, recorder=lambda device: recorder
    )


@pytest.mark.parametrize("warms_up", [False, True])
def test_a_stream_with_replays_edits_the_same(warms_up: bool) -> None:
    """Catches a warm-up that leaves traces, and recordings kept over another size or a reset."""
    recorder = AddressRecorder()
    fast = fast_stream(Speed(replays=True, num_buckets=4, keeps_rotated=False), recorder)
    plain = fast_stream(Speed(num_buckets=4, keeps_rotated=False), recorder)
    if warms_up:
        fast.warm_up(64, 96)
        assert fast.kv_latents == 0
        assert recorder.num_recorded == 6
    clip = moving_frames(64)
    shown = []
    for stream in (plain, fast):
        texts = [stream.encode_text(prompt) for prompt in ("make it blue", "black and white")]
        out = [stream.edit(clip[i : i + 8], texts[i // 40]) for i in range(0, 64, 8)]
        tall = moving_frames(8, 96, 64)
        out += [stream.edit(tall, texts[0]) for _ in range(5)]
        stream.reset()
        out.append(stream.edit(tall, texts[1]))
        shown.append(out)
    assert all(np.array_equal(a, b) for a, b in zip(*shown, strict=True))
    # five passes of each chunk with a full window: five wide, two tall, and four of each warm-up:
    # before the first chunk, and again where another size begins
    assert recorder.num_replayed == 5 * (5 + 2 + (2 * 4 if warms_up else 0))


class FailingRecorder:
    """A device on which nothing can be recorded."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.num_tried = 0

    def record(self, work: Callable[[], Tensor | None]) -> Callable[[], Tensor | None]:
        self.num_tried += 1
        work()  # a capture fails after some of the work was done
        raise self.error


def test_a_pass_that_cannot_be_recorded_runs_plainly(double: CausalDiT) -> None:
    """Catches an error of the capture that ends the stream, and one recording tried each pass."""
    texts = [tiny_text_kv(double)] * NUM_CHUNKS
    caches = [KVCache(PAIRED, GRID, CPU, torch.float64) for _ in range(2)]
    recorder = FailingRecorder(RuntimeError("operation not permitted when stream is capturing"))
    replayed = ReplayedDiT(double, caches[0], recorder)
    masks = [MaskCache(PAIRED, num_buckets=4) for _ in range(2)]
    given_up = edits(replayed, caches[0], masks[0], texts)
    plain = edits(double, caches[1], masks[1], texts)
    assert all(torch.equal(a, b) for a, b in zip(given_up, plain, strict=True))
    assert recorder.num_tried == 1


@pytest.mark.parametrize("hides", [False, True])
def test_want_of_memory_while_recording_is_raised(double: CausalDiT, hides: bool) -> None:
    """Catches an editor that never learns of it, also where the capture's end raises its own."""
    error: Exception = torch.OutOfMemoryError("out of memory")
    if hides:
        outer = RuntimeError("capture was invalidated")
        outer.__context__ = error
        error = outer
    cache = KVCache(PAIRED, GRID, CPU, torch.float64)
    replayed = ReplayedDiT(double, cache, FailingRecorder(error))
    with pytest.raises(type(error)):
        edits(replayed, cache, MaskCache(PAIRED, 4), [tiny_text_kv(double)] * NUM_CHUNKS)

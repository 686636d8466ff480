"""Released weights in any of their forms, as the exact state dict of CausalDiT(config).

Forms: a torch file (one level of wrapping dict, names with the prefixes of FSDP, DDP, torch.compile
and activation checkpointing), safetensors (also sharded, with an index), a diffusers folder. What a
file is, its first bytes say, not its name. Knows nothing of downloads or of where models lie.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from liveedit_cam.errors import WeightsError, shown
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.weight_files import name_problems

_log = logging.getLogger(__name__)

Advance = Callable[[int, int], None]
"""Takes bytes written and bytes in all."""

_WRAPPERS = ("generator", "model", "state_dict", "generator_ema")
"""Keys under which a torch file may hold the weights, best first; EMA weights only where asked for
or where there are no others."""

_PYTHON_WRAPPERS = {"_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod"}
"""Parts of a name that a wrapper adds wherever it stands."""

_OUTER_NAMES = {"module", "model"}
"""Parts that a wrapper adds in front."""

_DIFFUSERS_MARK = "condition_embedder."

_WAN_OF_DIFFUSERS = (
    (r"^condition_embedder\.text_embedder\.linear_1\.", "text_embedding.0."),
    (r"^condition_embedder\.text_embedder\.linear_2\.", "text_embedding.2."),
    (r"^condition_embedder\.time_embedder\.linear_1\.", "time_embedding.0."),
    (r"^condition_embedder\.time_embedder\.linear_2\.", "time_embedding.2."),
    (r"^condition_embedder\.time_proj\.", "time_projection.1."),
    (r"^scale_shift_table$", "head.modulation"),
    (r"^proj_out\.", "head.head."),
    (r"^(blocks\.\d+)\.scale_shift_table$", r"\1.modulation"),
    (r"^(blocks\.\d+)\.norm2\.", r"\1.norm3."),
    (r"^(blocks\.\d+)\.attn1\.", r"\1.self_attn."),
    (r"^(blocks\.\d+)\.attn2\.", r"\1.cross_attn."),
    (r"(_attn)\.to_out\.0\.", r"\1.o."),
    (r"(_attn)\.to_([qkv])\.", r"\1.\2."),
    (r"^(blocks\.\d+)\.ffn\.net\.0\.proj\.", r"\1.ffn.0."),
    (r"^(blocks\.\d+)\.ffn\.net\.2\.", r"\1.ffn.2."),
)
"""Rules applied in this order; what no rule touches has the same name in both."""

_UNREADABLE = (
    pickle.UnpicklingError,
    SafetensorError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
)
"""What torch and safetensors raise for a file that is not what it should be."""


def load_checkpoint(
    source: Path, config: ModelConfig, *, ema: bool = False, grows: bool = False
) -> Mapping[str, Tensor]:
    """Weights of ``source``, a file or folder, under the names of ``CausalDiT(config)``.

    Tensors keep their type and stay in the file until used, where its form allows. ``ema`` takes
    the moving average, which must then be there. ``grows`` also takes a text-to-video model, whose
    patches have no source: that half of their weights becomes zero (facts 1.2). Raises
    WeightsError: not readable, or not exactly the names and shapes of this model.
    """
    tensors = _renamed(_read(source, ema=ema), source)
    expected = expected_tensors(config)
    name = "patch_embedding.weight"
    if grows and name in tensors and 2 * tensors[name].shape[1] == expected[name].shape[1]:
        tensors[name] = torch.cat((tensors[name], torch.zeros_like(tensors[name])), dim=1)
    problems = name_problems(expected, dict(tensors))
    if problems:
        raise WeightsError(
            f"got {source}, which does not fit {config.name}: {problems}",
            hint=_reason(expected, tensors),
        )
    return tensors


def expected_tensors(config: ModelConfig) -> dict[str, Tensor]:
    """Names and shapes of ``CausalDiT(config)``, as tensors without memory."""
    with torch.device("meta"):
        return CausalDiT(config).state_dict()


def convert(
    source: Path,
    target: Path,
    config: ModelConfig,
    *,
    ema: bool = False,
    advance: Advance | None = None,
) -> None:
    """Write ``source`` as one bfloat16 safetensors file; ``target`` appears whole or not at all.

    Tensors go from file to file one by one, so memory holds one of them at a time (all of them for
    torch files of the old format, which cannot be mapped). Raises WeightsError, and OSError where
    the disk refuses.
    """
    tensors = load_checkpoint(source, config, ema=ema)
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            _write_bfloat16(file, tensors, advance or (lambda done, total: None))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def wan_names(names: Iterable[str]) -> dict[str, str]:
    """Each name as a file spells it, to its Wan-native name; two that become one are kept."""
    bare = {name: _without_wrappers(name) for name in names}
    if not any(name.startswith(_DIFFUSERS_MARK) for name in bare.values()):
        return bare
    return {name: from_diffusers(stripped) for name, stripped in bare.items()}


def from_diffusers(name: str) -> str:
    """A name of diffusers' WanTransformer3DModel as Wan spells it; others stay as they are."""
    for pattern, replacement in _WAN_OF_DIFFUSERS:
        name = re.sub(pattern, replacement, name)
    return name


def _without_wrappers(name: str) -> str:
    parts = [part for part in name.split(".") if part not in _PYTHON_WRAPPERS]
    while len(parts) > 1 and parts[0] in _OUTER_NAMES:
        del parts[0]
    return ".".join(parts)


def _renamed(tensors: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    names = wan_names(tensors)
    doubles = [name for name, count in Counter(names.values()).items() if count > 1]
    if doubles:
        spelt = [name for name, wan in names.items() if wan == doubles[0]]
        raise WeightsError(
            f"got {source}, in which {len(doubles)} weights occur twice once the prefixes of "
            f"wrappers are gone, such as {doubles[0]} as {' and '.join(spelt)}; expected one set",
            hint="Save the weights of one network only.",
        )
    return {names[name]: tensor for name, tensor in tensors.items()}


def _reason(expected: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> str:
    """What most likely happened, for the hint."""
    wanted, found = (tensors.get("patch_embedding.weight") for tensors in (expected, got))
    if wanted is not None and found is not None and 2 * found.shape[1] == wanted.shape[1]:
        return (
            f"These take {found.shape[1]} channels: a text-to-video model such as Wan2.1 itself. "
            f"An editor also takes the source's."
        )
    return "Give the released checkpoint of this model, or pull it: `liveedit-cam models pull`."


def _read(source: Path, *, ema: bool) -> Mapping[str, Tensor]:
    if not source.exists():
        raise WeightsError(
            f"got {source}, which is not there; expected a weights file or a folder of them"
        )
    try:
        if source.is_dir():
            return _read_folder(source, ema=ema)
        if _is_torch_file(source):
            return _read_torch(source, ema=ema)
        tensors = _read_safetensors(source)
    except _UNREADABLE as error:
        raise WeightsError(
            f"got {source}, which is neither a whole torch file of plain tensors nor a whole "
            f"safetensors file ({type(error).__name__}: {shown(str(error).partition(chr(10))[0])})",
            hint="Pull or copy it again; a file that needs Python code to load is refused.",
        ) from error
    if ema:
        raise _no_average(source)
    return tensors


def _read_folder(folder: Path, *, ema: bool) -> Mapping[str, Tensor]:
    inner = folder / "transformer"  # of a diffusers pipeline
    folder = inner if inner.is_dir() else folder
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    files = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.pt"))
    if len(indexes) == 1:
        if ema:
            raise _no_average(folder)
        return _read_shards(indexes[0])
    if len(indexes) == 0 and len(files) == 1:
        return _read(files[0], ema=ema)
    found = ", ".join(path.name for path in indexes or files) or "none"
    raise WeightsError(
        f"got folder {folder} with {found}, expected one *.safetensors or *.pt file, or shards "
        f"with one *.safetensors.index.json",
        hint="Give the file itself.",
    )


def _read_shards(index: Path) -> dict[str, Tensor]:
    """Tensors of all files an index names. Raises WeightsError for an index that lies."""
    files: dict[str, str] = json.loads(index.read_text("utf-8"))["weight_map"]
    shards = sorted(set(files.values()))
    missing = [name for name in shards if not _is_beside(index, name)]
    if missing:
        raise WeightsError(
            f"got {index}, of whose {len(shards)} files {', '.join(missing)} are not beside it",
            hint="Pull or copy the missing files.",
        )
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        tensors |= _read_safetensors(index.parent / shard)
    wrong = sorted(files.keys() ^ tensors.keys())
    if wrong:
        raise WeightsError(
            f"got {index}, which differs from its files in {len(wrong)} names such as {wrong[0]}",
            hint="Pull or copy index and files again; they are of two versions.",
        )
    return tensors


def _is_beside(index: Path, name: str) -> bool:
    return Path(name).name == name and (index.parent / name).is_file()


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in sorted(file.keys())}


def _is_torch_file(path: Path) -> bool:
    """Whether it is a zip or a bare pickle, the two formats of torch.save."""
    with path.open("rb") as file:
        return zipfile.is_zipfile(file) or _starts_as_pickle(file)


def _starts_as_pickle(file: BinaryIO) -> bool:
    file.seek(0)
    first = file.read(9)
    return first[:1] == b"\x80" and first[8:9] != b"{"  # the brace opens a safetensors header


def _read_torch(path: Path, *, ema: bool) -> dict[str, Tensor]:
    content = torch.load(
        path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None
    )
    if not isinstance(content, Mapping):
        raise WeightsError(f"got {path}, which holds a {type(content).__name__}, expected weights")
    weights = _unwrapped(content, path, ema=ema)
    others = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    if others:
        raise WeightsError(
            f"got {path}, which has {len(others)} entries that are no weights, such as "
            f"{shown(others[0])}; expected weights, alone or under {', '.join(_WRAPPERS)}"
        )
    return dict(weights)


def _unwrapped(content: Mapping[str, Any], path: Path, *, ema: bool) -> Mapping[str, Any]:
    """The one set of weights in a torch file: that under the best key, else the file itself."""
    found = [key for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
    if ema:
        if "generator_ema" not in found:
            raise _no_average(path)
        found = ["generator_ema"]
    if not found:
        return content
    _log.info("the weights of %s are those under %r", path.name, found[0])
    inner: Mapping[str, Any] = content[found[0]]
    return inner


def _no_average(path: Path) -> WeightsError:
    return WeightsError(
        f"got {path}, which has no generator_ema; expected the moving average of the weights",
        hint="Leave --ema out.",
    )


def _write_bfloat16(file: BinaryIO, tensors: Mapping[str, Tensor], advance: Advance) -> None:
    """The safetensors format: length of the header, header as JSON, the tensors' bytes."""
    size_of = torch.bfloat16.itemsize
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * size_of
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants the tensors' bytes aligned
    file.write(len(text).to_bytes(8, "little") + text)
    done = 0
    for tensor in tensors.values():
        values = tensor.to(torch.bfloat16).contiguous().flatten()
        file.write(values.view(torch.uint8).numpy().data)
        done += values.nbytes
        advance(done, end)

"""What is given up, in which order, and that it comes back."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from tiny_model import TINY

from liveedit_cam.model.config import NANO, WAN_1_3B
from liveedit_cam.model.governor import (
    FAST_CHUNKS,
    SLOW_CHUNKS,
    Governor,
    Setting,
    fewer_steps,
    memory_ladder,
)
from liveedit_cam.model.schedule import FlowSchedule


def test_the_order_is_decoding_window_size_codec_text() -> None:
    """Catches a smaller picture while there is still history to give up."""
    ladder = memory_ladder(
        WAN_1_3B, has_frugal_codec=True, has_light_codec=True, has_large_text=True
    )
    told = [b.differences(a) for a, b in itertools.pairwise(ladder)]
    assert told == [
        "latents one by one",
        "window 12 -> 9 latents",
        "picture 832x480 -> 624x352",
        "picture 624x352 -> 416x240",
        "light codec",
        "text encoder on the processor",
    ]
    for setting in ladder:
        config = setting.config
        assert config.height % config.token_px == config.width % config.token_px == 0
        assert config.window_latents >= config.num_sink_latents + 2 * config.chunk_latents


@pytest.mark.parametrize("config", [TINY, NANO, WAN_1_3B], ids=lambda c: c.name)
def test_every_rung_is_a_model(config: object) -> None:
    """Catches a rung that ModelConfig refuses, or one of no whole tokens."""
    ladder = memory_ladder(config, has_light_codec=False, has_large_text=False)  # type: ignore[arg-type]
    assert ladder[0] == Setting(config)  # type: ignore[arg-type]
    assert not any(s.uses_light_codec or s.text_on_cpu for s in ladder)
    assert len(set(ladder)) == len(ladder)


def test_memory_steps_down_and_says_what_until_nothing_is_left() -> None:
    """Catches an endless loop of restarts, and a step that is not told."""
    ladder = memory_ladder(NANO, has_light_codec=False, has_large_text=False)
    governor = Governor(ladder)
    told = []
    while (said := governor.out_of_memory()) is not None:
        told.append(said)
    assert len(told) == len(ladder) - 1
    assert "nothing" not in told
    assert governor.setting == ladder[-1]


def test_fields_are_kept_young_by_fewer_passes() -> None:
    """Catches a governor that reacts to one slow chunk, or to none."""
    governor = Governor((Setting(TINY),), max_field_age_s=0.25)
    told = []
    for _ in range(20 * SLOW_CHUNKS):
        said = governor.aged(0.3)
        if said is not None:
            told.append(said)
    smaller = "picture 96x64 -> 80x48"
    assert told == ["no context pass", "steps 4 -> 2", "steps 2 -> 1", smaller]
    assert governor.aged(0.3) is None  # nothing is left
    assert Governor((Setting(TINY),), max_field_age_s=0.25).aged(0.3) is None


def test_what_was_given_up_comes_back() -> None:
    """Catches a stream that stays at one step for ever after one busy minute."""
    governor = Governor((Setting(TINY),), max_field_age_s=0.25)
    for _ in range(2 * SLOW_CHUNKS):
        governor.aged(0.3)
    assert len(governor.setting.config.timesteps) == 2
    for _ in range(FAST_CHUNKS - 1):
        assert governor.aged(0.1) is None
    assert governor.aged(0.1) == "steps 2 -> 4"
    for _ in range(FAST_CHUNKS):
        governor.aged(0.1)
    assert governor.setting == Setting(TINY)


def test_nano_gives_up_pixels_alone_and_takes_them_back() -> None:
    """Catches a slow machine whose fields stay old, and a fast one whose pictures stay small."""
    governor = Governor((Setting(NANO),), max_field_age_s=0.25)
    told = [governor.aged(0.3) for _ in range(SLOW_CHUNKS * 5)]
    assert [said for said in told if said] == [
        "no context pass", "steps 4 -> 2", "steps 2 -> 1", "picture 320x176 -> 256x144",
    ]  # fmt: skip
    assert governor.setting.config.size.num_tokens == 144
    told = [governor.aged(0.1) for _ in range(FAST_CHUNKS)]
    assert told[-1] == "picture 256x144 -> 320x176"


def test_an_age_near_the_limit_changes_nothing() -> None:
    """Catches a governor that swings to and fro: between headroom and limit all stays."""
    governor = Governor((Setting(TINY),), max_field_age_s=0.25)
    for _ in range(SLOW_CHUNKS):
        governor.aged(0.3)
    before = governor.setting
    assert all(governor.aged(0.2) is None for _ in range(3 * FAST_CHUNKS))
    assert governor.setting == before


def test_steps_that_were_chosen_stay() -> None:
    """Catches a user's choice overruled by a slow machine, and one that is ignored."""
    governor = Governor((Setting(TINY),), num_steps=2, max_field_age_s=0.25)
    assert governor.setting.config.timesteps == (1000, 500)
    assert all(governor.aged(9.0) is None for _ in range(50))
    short = replace(TINY, timesteps=(1000,), context_pass=False)
    assert Governor((Setting(short),), 4).setting.config.timesteps == (1000, 750, 500, 250)


def test_without_a_limit_age_is_no_matter() -> None:
    """Catches steps dropped for a user who never asked for it."""
    governor = Governor((Setting(TINY),))
    assert all(governor.aged(9.0) is None for _ in range(50))


def test_fewer_steps_are_spread_over_the_noise() -> None:
    """Catches a shorter list that starts below pure noise, or is not descending."""
    own = TINY.timesteps
    assert fewer_steps(own, 4) == own
    assert fewer_steps(own, 3) == (1000, 667, 333)
    assert fewer_steps(own, 2) == (1000, 500)
    sigmas = FlowSchedule(fewer_steps(own, 3), TINY.shift).sigmas
    assert sigmas[0] == 1.0
    assert list(sigmas) == sorted(sigmas, reverse=True)
    assert replace(TINY, timesteps=fewer_steps(own, 2)).timesteps == (1000, 500)

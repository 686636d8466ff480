"""Named parts of a picture: what each is called, and which pixel labels it is. Data only.

Labels are those of a pictures folder's ``index.json``: coarse ids for every picture, fine ids of
garments for some.
"""

from __future__ import annotations

from dataclasses import dataclass, field

UNKNOWN = 255
"""Label of pixels that nobody looked at: part of no mask and of no loss."""
PERSON_LABELS = (1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 32)
"""All that is a person or worn by one."""
VEHICLES = (33, 34, 35, 36, 37, 38, 39, 40)
ANIMALS = tuple(range(46, 56))


PARTS: tuple[tuple[str, tuple[int, ...], float], ...] = (
    ("background", (0,), 0.5),
    ("hair", (2,), 3.0),
    ("face", (16,), 2.0),
    ("skin", (3,), 1.5),
    ("upper clothes", (4,), 1.0),
    ("lower clothes", (5,), 1.0),
    ("dress", (13,), 1.5),
    ("shoes", (14,), 2.0),
    ("bag", (15, 56, 58), 2.0),
    ("glasses", (11,), 4.0),
    ("hat", (12,), 3.0),
    ("person", (1, 32), 1.0),
    ("sky", (8,), 2.0),
    ("plants", (9, 90), 2.0),
    ("vehicle", VEHICLES, 2.0),
    ("animal", ANIMALS, 2.0),
    ("furniture", (88, 89, 91, 92), 2.0),
)
"""What every labelled cell of a picture is one of: name, coarse ids, weight of a cell; the rest of
the ids is one more part of weight 1, ``PARTS[len]``."""
NUM_PARTS = len(PARTS) + 1
PART_WEIGHTS = (*(weight for _, _, weight in PARTS), 1.0)
"""Of a cell of each part, the rest among them."""


@dataclass(frozen=True, slots=True)
class Region:
    """One thing that an instruction can name."""

    name: str
    words: tuple[str, ...]
    """What it is called; the first is drawn most often."""
    labels: tuple[int, ...] = ()
    """Coarse ids that are it."""
    fine: tuple[str, ...] = ()
    """Names of garments that are it, where a picture has fine labels."""
    weight: float = 1.0
    """How often it is drawn beside others."""
    is_own: bool = True
    """Whether it belongs to a person, so that "my" or "his" may stand before it."""
    group: str = field(default="")
    """Regions of one group are alternative names of one place; never "not there" beside another."""


SHIRTS = ("shirt", "t-shirt", "blouse", "top", "sweater", "jumper", "sweatshirt", "hoodie",
          "longsleeve", "cardigan", "bodysuit")  # fmt: skip
JACKETS = ("jacket", "coat", "blazer", "suit", "cape", "vest", "outwear", "cardigan")

REGIONS: tuple[Region, ...] = (
    Region("hair", ("hair", "hair", "hair", "hairstyle", "haircut", "hairdo"), (2,), weight=9.0),
    Region("face", ("face", "face", "face", "head", "cheeks"), (16,), weight=2.5),
    Region("skin", ("skin", "skin", "complexion"), (3, 16), weight=0.7),
    Region(
        "upper clothes",
        (
            *("shirt",) * 4,
            "top",
            "top",
            "t-shirt",
            "tee",
            "sweater",
            "upper clothes",
            "upper body clothes",
        ),
        (4,),
        weight=5.0,
        group="upper",
    ),
    Region(
        "shirt",
        ("shirt", "shirt", "top", "t-shirt", "blouse"),
        fine=SHIRTS,
        weight=1.0,
        group="upper",
    ),
    Region("jacket", ("jacket", "jacket", "coat"), fine=JACKETS, weight=2.0, group="upper"),
    Region(
        "coat",
        ("coat", "overcoat", "long coat", "winter coat"),
        fine=("coat",),
        weight=0.8,
        group="upper",
    ),
    Region(
        "blazer",
        ("blazer", "suit jacket", "suit"),
        fine=("blazer", "suit"),
        weight=0.6,
        group="upper",
    ),
    Region(
        "sweater",
        ("sweater", "pullover", "jumper", "hoodie", "sweatshirt"),
        fine=("sweater", "jumper", "sweatshirt", "hoodie"),
        weight=0.8,
        group="upper",
    ),
    Region("vest", ("vest", "waistcoat"), fine=("vest",), weight=0.1, group="upper"),
    Region("blouse", ("blouse",), fine=("blouse",), weight=0.15, group="upper"),
    Region(
        "clothes",
        ("clothes", "clothes", "outfit", "clothing", "dress and clothes", "garments"),
        (4, 5, 13, 14),
        weight=1.5,
        group="upper",
    ),
    Region(
        "trousers",
        ("pants", "trousers", "jeans", "leggings"),
        fine=("pants", "jeans", "leggings"),
        weight=3.0,
        group="lower",
    ),
    Region("skirt", ("skirt",), fine=("skirt",), weight=0.8, group="lower"),
    Region("shorts", ("shorts",), fine=("shorts",), weight=0.3, group="lower"),
    Region("dress", ("dress", "dress", "gown"), (13,), weight=1.5, group="upper"),
    Region("shoes", ("shoes", "boots", "sneakers"), (14,), weight=0.6),
    Region("bag", ("bag", "handbag", "purse", "backpack"), (15, 56, 58), weight=2.0),
    Region("glasses", ("glasses", "sunglasses", "shades", "spectacles"), (11,), weight=1.2),
    Region("hat", ("hat", "cap", "beanie"), (12,), weight=2.5),
    Region("scarf", ("scarf",), fine=("scarf",), weight=0.7),
    Region("tie", ("tie", "necktie"), (59,), ("tie",), weight=0.1),
    Region("belt", ("belt",), fine=("belt",), weight=0.05),
    Region("sky", ("sky", "sky", "sky", "clouds"), (8,), weight=1.6, is_own=False),
    Region(
        "vegetation",
        ("trees", "plants", "grass", "vegetation", "greenery", "leaves"),
        (9, 90),
        weight=0.6,
        is_own=False,
    ),
    Region(
        "car",
        ("car", "cars", "vehicle", "automobile"),
        (34,),
        weight=2.2,
        is_own=False,
        group="vehicle",
    ),
    Region("bus", ("bus",), (37,), weight=0.4, is_own=False, group="vehicle"),
    Region("truck", ("truck", "lorry"), (39,), weight=0.3, is_own=False, group="vehicle"),
    Region("train", ("train",), (38,), weight=0.05, is_own=False, group="vehicle"),
    Region("bicycle", ("bicycle", "bike"), (33,), weight=0.06, is_own=False, group="vehicle"),
    Region(
        "motorcycle", ("motorcycle", "motorbike"), (35,), weight=0.3, is_own=False, group="vehicle"
    ),
    Region("airplane", ("airplane", "plane"), (36,), weight=0.05, is_own=False, group="vehicle"),
    Region("boat", ("boat", "ship"), (40,), weight=0.05, is_own=False, group="vehicle"),
    Region("vehicle", ("vehicle", "vehicles"), VEHICLES, weight=0.3, is_own=False, group="vehicle"),
    Region(
        "animal", ("animal", "animals", "pet"), ANIMALS, weight=0.15, is_own=False, group="animal"
    ),
    Region("cat", ("cat", "kitten"), (47,), weight=0.1, is_own=False, group="animal"),
    Region("dog", ("dog", "puppy"), (48,), weight=0.1, is_own=False, group="animal"),
    Region("bird", ("bird",), (46,), weight=0.06, is_own=False, group="animal"),
    Region("horse", ("horse",), (49,), weight=0.06, is_own=False, group="animal"),
    Region("couch", ("couch", "sofa"), (89,), weight=0.06, is_own=False),
    Region("chair", ("chair", "chairs"), (88,), weight=0.1, is_own=False),
    Region("table", ("table", "desk", "dining table"), (92,), weight=0.15, is_own=False),
    Region("bed", ("bed",), (91,), weight=0.05, is_own=False),
    Region("screen", ("screen", "tv", "monitor", "laptop"), (94, 95), weight=0.1, is_own=False),
    Region("cup", ("cup", "mug"), (73,), weight=0.1, is_own=False),
    Region("bottle", ("bottle",), (71,), weight=0.06, is_own=False),
    Region("bowl", ("bowl",), (77,), weight=0.05, is_own=False),
    Region("book", ("book", "books"), (105,), weight=0.06, is_own=False),
    Region("umbrella", ("umbrella",), (57,), weight=0.06, is_own=False),
    Region("phone", ("phone", "cell phone"), (99,), weight=0.05, is_own=False),
)
BY_NAME = {region.name: region for region in REGIONS}

OWNERS = ("my", "my", "my", "the", "the", "his", "her", "their", "your", "the person's",
          "the man's", "the woman's", "this person's", "")  # fmt: skip
PLACES = ("the", "the", "the", "this", "that", "")
"""What stands before a region that belongs to nobody."""

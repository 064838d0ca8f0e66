"""The places of the gallery, a module each: it builds the scene and lists its views."""

from __future__ import annotations

from collections.abc import Callable

from gallery.panel import Rng
from gallery.places.bridge import bridge
from gallery.places.castle_gate import castle_gate
from gallery.places.cathedral_front import cathedral_front
from gallery.places.clock_tower import clock_tower
from gallery.places.courtyard import courtyard
from gallery.places.fountain import fountain
from gallery.places.lighthouse import lighthouse
from gallery.places.market_hall import market_hall
from gallery.places.mural_house import mural_house
from gallery.places.pagoda import pagoda
from gallery.places.ruined_arch import ruined_arch
from gallery.places.temple import temple
from gallery.places.timber_house import timber_house
from gallery.places.windmill import windmill
from gallery.view import Place

PLACES: dict[str, Callable[[Rng], Place]] = {
    f.__name__: f
    for f in (
        cathedral_front,
        clock_tower,
        courtyard,
        bridge,
        fountain,
        ruined_arch,
        pagoda,
        mural_house,
        lighthouse,
        windmill,
        timber_house,
        castle_gate,
        temple,
        market_hall,
    )
}

from __future__ import annotations

import pytest
from tests.inspect.views.world import World, make_world

from poolwright.inspect.views.view import View


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def view(world: World) -> View:
    return world.view()

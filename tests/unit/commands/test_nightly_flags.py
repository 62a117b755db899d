"""Flags of `inv nightly` that do not go together are refused before anything is started."""

import pytest

from ci.commands.flags import Nightly
from ci.commands.nightly import nightly
from ci.errors import UserError
from ci.request import Request


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"control": "last-good"}, "--control starts other servers on the same hosts; leave out"),
        ({"against_itself": True}, "--against-itself starts the servers twice; leave out --keep"),
    ],
)
def test_servers_that_keep_running_keep_the_hosts(given, message):
    with pytest.raises(UserError, match=message):
        nightly(Request(config="local.yaml", keep=True, **given))


def test_a_control_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="--control last: expected last-good or none"):
        Nightly(control="last")

"""A gate between a real broker's two sides."""

from firmware_bridge.link.codec import RemoteObject
from firmware_bridge.link.meta import Meta, decode_meta, encode_meta
from tests.support.wait import until

from .conftest import driven, entry, runs


async def test_json_both_ways(broker, inside, outside):
    """What there is comes over, then what changes, with its metadata; echoes go nowhere."""
    before = await inside.set("home.temp", 23.5)
    await outside.say("ext/js/pre", '{"k": [1, null, true]}')
    await inside.set("gate.js", entry())
    async with driven(broker):
        await runs(inside)
        await until(lambda: outside.payloads("ext/js/temp") == [b"23.5"])
        meta = decode_meta(outside.last("ext/js/temp").meta)
        assert meta == Meta("GATE.js", before.time)
        await until(lambda: inside.value("home.pre") == {"k": [1, None, True]})
        await outside.say("ext/js/temp", "19")
        await until(lambda: inside.value("home.temp") == 19)
        message = inside.message("home.temp")
        assert message.meta.origin == "GATE.js"
        gw = message.meta.keywords["gw"]
        assert isinstance(gw, RemoteObject)
        assert gw.name == "_MM"
        assert gw.arguments[0].startswith("via:gate_")
        await outside.say("ext/js/live", '"nr"', retain=False)
        await until(lambda: inside.value("home.live") == "nr")
        assert inside.message("home.live").retained
        await outside.say("ext/js/with", "5", meta=encode_meta(Meta("other", 1.7e9)))
        await until(lambda: inside.value("home.with") == 5)
        assert inside.message("home.with").meta.keywords["gw"].arguments == ("other", 1.7e9)
        await inside.set("home.x", {"a": [1, 2]})
        await until(lambda: outside.payloads("ext/js/x") == [b'{"a": [1, 2]}'])
        await inside.link.delete(inside.message("home.x").path)
        await until(lambda: outside.payloads("ext/js/x")[1:] == [b""])
        await outside.say("ext/js/temp", b"")
        await until(lambda: inside.message("home.temp") is None)
        await outside.session.barrier()
        assert outside.payloads("ext/js/temp") == [b"23.5", b"19", b""]
        assert inside.values("home.temp")[:2] == [23.5, 19]
        assert inside.message("error.link") is None
    await until(lambda: inside.message("run.host.gate.js") is None)

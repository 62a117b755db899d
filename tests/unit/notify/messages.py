"""Messages for the tests of notifications, also hostile ones."""

from ci.notify.message import NightNews, Step
from ci.notify.payload import fitted
from ci.notify.template import read_template, writer

# What the services would take for a mention, a link, an image, markup, or an end of ours.
HOSTILE = (
    "<!channel> <!here|here> <@U012AB3CD> <!subteam^S0123456> @all @here @channel <@all> "
    '<at user_id="all">x</at> <at id=all></at> @13800001111 [x](https://evil.example) '
    "![x](https://evil.example/a.png) <https://evil.example|ok> *b* _i_ ~s~ `c` ``` ```` **b** "
    "# h <font color=red> <img src=x onerror=y> </script> & &lt;!channel&gt; \\ "
    "\x00\x1b[31m\x1b]8;;https://evil.example\x07\x9b1m\u202e\u2066\u200b\ud800 "
    '{{ 7*7 }} {% x %} "}],"at":{"isAtAll":true} \r\nBcc: evil@example.org\r\n\r\n> q\n# h\n- x'
)
OWNERS = {
    "slack": {"dense": "U012AB3CD"},
    "feishu": {"dense": "ou_18eac8"},
    "wecom": {"dense": "zhangsan"},
    "dingtalk": {"dense": "13900002222"},
    "json": {"dense": "dense"},
    "email": {"dense": "dense@example.org"},
}
LINK = "https://reports.example.org/runs/r/report.html"


def news(**changes):
    """Return the news of a failed night."""
    values = {
        "case": "Qwen3-32B",
        "run": "20260102-200000-qwen-0001",
        "outcome": "fail",
        "change": "changed",
        "before": "20260101-200000-qwen-0000",
        "headline": "FAIL: 1 of 2 checks missed the bound",
        "cause": "gsm8k accuracy is 61.00 %; at least 66.50 % expected",
        "started_at": "2026-01-02T20:00:00.000Z",
        "steps": (Step("See all that changed", "inv compare last-good,last"),),
        "since_good": "1 variable changed since R0, the last good night",
        "changed": ("vLLM: 0.11.0 → 0.12.0",),
        "owner": "dense",
        "mentions": True,
        "link": LINK,
        "report": "bench:/runs/r/report.html",
    }
    return NightNews(**(values | changes))


def hostile_news(text=HOSTILE):
    """Return news all of whose texts are hostile."""
    return news(
        **dict.fromkeys(("case", "run", "headline", "cause", "since_good", "report"), text),
        steps=(Step(text, text),),
        changed=(text,),
        link="",
        owner=text,
        mentions=False,
    )


def made(service, built, owners=None, template=None):
    """Return the payload of a service, with the project's own template."""
    owners = OWNERS[service] if owners is None else owners
    template = template or read_template(None)
    return fitted(service, built, writer(template, service, owners), owners)


def texts(tree):
    """Yield every text of a payload."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from texts(value)

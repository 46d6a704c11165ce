"""The status page, as a browser shows it."""

import json
import re
import subprocess

import pytest
from harness.browser import Browser
from harness.client import ask
from harness.program import environment
from harness.waiting import until


EVIL = "/nowhere/<script>document.title='owned'</script>?q=secret"


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/orders/*", name="orders"),
        listeners=[world.clear_listener, world.tls_listener],
    )
    with world.gateway(routes) as gateway:
        token = world.issuer.token("watched")
        for number in range(4):
            assert world.ask(gateway, "GET", f"/orders/{number}", "watched", token).status == 200
        assert ask(gateway.port, "GET", EVIL).status == 404
        assert ask(gateway.port, "GET", "/orders/5").status == 401
        until(lambda: report(gateway)["traffic"]["requests"] == 6, "all to be counted")
        yield gateway


def report(gateway):
    status, text = gateway.admin("/status", headers={"Accept": "application/json"})
    assert status == 200
    return json.loads(text)


def test_the_report_says_what_runs_and_how_it_goes(world, gateway):
    said = report(gateway)
    assert said["ready"] and said["missing"] == []
    assert said["traffic"]["refused"] == 2 and said["traffic"]["failed"] == 0
    orders = next(route for route in said["routes"] if route.get("name") == "orders")
    assert (orders["requests"], orders["refused"]) == (5, 1)
    assert sum(orders["buckets"]) == 5 and len(orders["buckets"]) == len(said["boundsMs"]) + 1
    assert {entry["reason"]: entry["count"] for entry in said["reasons"]} == {
        "no_route": 1, "token_missing": 1,
    }  # fmt: skip
    exchange = said["exchanges"][0]
    assert exchange["outcomes"]["miss"] == 1 and exchange["outcomes"]["hit"] == 3
    assert exchange["survivalSeconds"] > 0
    assert said["issuers"] == [
        said["issuers"][0] | {"name": "corp", "keys": 1, "ready": True}
    ]
    certificate = said["certificates"][0]
    assert certificate["listener"] == "tls" and certificate["names"] == ["localhost"]
    assert certificate["daysLeft"] > 0


def test_the_last_refusals_say_why_and_hold_no_query(gateway):
    text = gateway.admin("/status", headers={"Accept": "application/json"})[1]
    assert "secret" not in text and "watched" not in text
    refusals = {entry["reason"]: entry for entry in json.loads(text)["refusals"]}
    assert refusals["token_missing"]["path"] == "/orders/5"
    assert refusals["token_missing"]["route"] == "orders"
    assert refusals["no_route"]["status"] == 404


def test_a_flood_of_refusals_does_not_push_the_memory_up(gateway):
    for _ in range(300):
        ask(gateway.port, "GET", "/orders/flood")
    assert len(report(gateway)["refusals"]) <= 50


def test_the_page_needs_nothing_from_elsewhere(gateway):
    status, page = gateway.admin("/status")
    assert status == 200
    assert not re.search(r"(?:src|href)\s*=|@import|url\(", page)


def test_it_is_only_at_the_admin_address_and_only_by_its_name(world, gateway):
    assert gateway.admin("/status", headers={"Host": "evil.example"})[0] == 421
    assert gateway.admin("/status", "POST")[0] == 405
    assert gateway.admin("/")[0] == 302


def test_a_browser_shows_it(gateway, tmp_path):

    def noted():
        # In a second with many others it may not be.
        assert ask(gateway.port, "GET", EVIL).status == 404
        return "<script>" in json.dumps(report(gateway)["refusals"][:5])

    until(noted, "it to be noted")
    url = f"http://127.0.0.1:{gateway.admin_port}/status"
    command = [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000",
        "--enable-logging=stderr", "--dump-dom", url,
    ]  # fmt: skip
    told = subprocess.run(
        command, capture_output=True, text=True, env=environment(HOME=str(tmp_path)), timeout=120
    )
    page = told.stdout
    assert '<span id="state" class="badge good">ready</span>' in page, told.stderr
    assert re.search(r"<td[^>]*>orders</td><td[^>]*>\d+</td>", page)
    assert re.search(r"<td[^>]*>token_missing</td>", page)
    assert re.search(r"<td[^>]*>tls</td><td[^>]*>localhost</td>", page)
    # What a caller sent is text in it, and its script did not run.
    assert "&lt;script&gt;document.title" in page and "<title>Tollgate</title>" in page
    # Nothing was refused by the page's own policy, and no script failed.
    assert "CONSOLE" not in told.stderr, told.stderr


# What has the focus, by its name, and whether it is seen to have it.
FOCUSED = """(() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  return {
    name: e.getAttribute("aria-label") || e.textContent.trim().slice(0, 20),
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    shown: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
  };
})()"""
# What of the page runs over its side.
OVERRUN = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# What has a role or is a plot and no name that is read aloud.
NAMELESS = """[...document.querySelectorAll("[role=region], [role=img], [tabindex], button, table")]
  .filter(e => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby")
    || e.textContent.trim())).length"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.end()


def show(browser, gateway, **how):
    browser.go(f"http://127.0.0.1:{gateway.admin_port}/status", **how)
    until(lambda: browser.value("!!document.querySelector('#routes td')"), "the numbers")


def tabbed(browser, presses=40, shift=False):
    """The names of all that Tab reaches, until it leaves the page or comes round."""
    names = []
    for _ in range(presses):
        browser.press("Tab", shift)
        focused = browser.value(FOCUSED)
        if focused is None or focused["name"] in names:
            return names
        assert focused["ring"] and focused["shown"], focused
        names.append(focused["name"])
    raise AssertionError(f"no end: {names}")


def test_the_keyboard_reaches_everything_and_leaves_again(gateway, browser):
    show(browser, gateway, width=390, height=800)
    names = tabbed(browser)
    assert names[0] == "Pause"
    for part in ("Routes", "Token exchange", "Upstreams", "Certificates", "The last refusals"):
        assert part in names, names
    assert browser.value(NAMELESS) == 0
    # Backwards too, from the end of the page.
    browser.value("document.querySelector('#refusals').focus()")
    backwards = tabbed(browser, shift=True)
    assert backwards[-1] == "Pause", backwards


def test_the_page_is_paused_by_a_key_and_says_so(gateway, browser):
    show(browser, gateway)
    browser.press("Tab")
    for wanted, text in (("true", "paused"), ("false", "")):
        browser.press(" ")
        pressed = "document.getElementById('pause').getAttribute('aria-pressed')"
        until(lambda wanted=wanted: browser.value(pressed) == wanted, "the button to be pressed")
        assert browser.value("document.getElementById('stale').textContent") == text


def test_what_scrolls_keeps_its_focus_while_the_numbers_come(gateway, browser):
    show(browser, gateway, width=390, height=800)
    browser.value("document.querySelector('#routes').focus()")
    browser.value("document.querySelector('#routes table').dataset.old = 1")
    until(lambda: not browser.value("document.querySelector('#routes table').dataset.old"), "news")
    assert browser.value(FOCUSED)["name"] == "Routes"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width, phone", [(1200, False), (360, True)], ids=["desk", "phone"])
def test_it_fits_and_can_be_read(gateway, browser, dark, width, phone):
    show(browser, gateway, width=width, height=800, dark=dark, phone=phone)
    assert browser.value(OVERRUN) <= 0
    assert browser.value("""(() => {
      // WCAG 2.2, 1.4.3: the contrast of every text with the panel behind it.
      const channel = c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
      const light = rgb => rgb.match(/[\\d.]+/g).slice(0, 3).map(Number).map(channel)
        .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
      const ground = e => {
        for (; e; e = e.parentElement) {
          const colour = getComputedStyle(e).backgroundColor;
          if (!/, 0\\)$/.test(colour)) return colour;
        }
        return "rgb(255, 255, 255)";
      };
      const poor = [];
      for (const e of document.querySelectorAll("body *")) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
        if (["STYLE", "SCRIPT", "text"].includes(e.tagName)) continue;
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) poor.push(e.textContent.trim().slice(0, 30) + " " + ratio.toFixed(1));
      }
      return poor;
    })()""") == []
    assert browser.trouble == []


def test_a_refused_routes_file_is_told_of_until_one_is_taken(world, browser):
    with world.gateway(world.routes()) as gateway:
        told = "document.getElementById('missing').textContent"
        show_state(browser, gateway)
        assert browser.value(told) == ""
        good = gateway.file.read_text()
        for text, words in (("{", "The routes file was refused"), (good, "")):
            gateway.file.write_text(text)
            gateway.admin("/reload", "POST")
            until(
                lambda words=words: browser.value(told).startswith(words)
                and bool(browser.value(told)) == bool(words),
                "the page to say so",
            )
        assert browser.trouble == []


def show_state(browser, gateway):
    browser.go(f"http://127.0.0.1:{gateway.admin_port}/status")
    until(lambda: browser.value("document.getElementById('state').textContent") == "ready", "it")

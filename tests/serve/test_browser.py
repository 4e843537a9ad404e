"""The pages in a real browser, as a phone and as a desk see them; what it drew is kept in build/screenshots."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.links import opt_out_token
from orchestrator.serve.own_words import OWN
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.world import World
from tests.browser import Page, browsing, chromium
from tests.serve.club import Club, club, own_page, stand

__all__ = ["club"]

THEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SHOTS = Path(__file__).parents[2] / "build/screenshots"
SIZES = {"phone": (360, 740), "desk": (1280, 900)}
# what a finger hits (WCAG 2.2, 2.5.8 asks for 24)
FINGER = 24


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    path = chromium()
    if not path:
        pytest.skip("no Chromium: install the package `chromium`")
    with browsing(path) as tab:
        tab.without_script()
        yield tab


@pytest.fixture
def ann(club: Club) -> tuple[World, str]:
    """Ann's world, and where its pages are."""
    world, client = club
    joins = enrolled("ann", THEN, given_name="Ann", family_name="Ibáñez de la Torre y Montenegro", locale="es-ES")
    world.live(joins, purchase("ann", THEN), dispatch=False)
    return world, str(client.base_url).rstrip("/")


def smallest(page: Page) -> float:
    """The lesser side of the smallest thing to be hit, its label included."""
    things = "[...document.querySelectorAll('button, label')]"
    sides = f"{things}.map(e => e.getBoundingClientRect()).map(r => Math.min(r.width, r.height))"
    return float(page.ask(f"Math.min(...{sides})"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["preferences", "leave", "ended", "saved", "wrong"])
def test_nothing_is_cut_off_or_too_small_to_hit(page: Page, ann: tuple[World, str], size: str, name: str) -> None:
    world, at = ann
    page.wide(*SIZES[size], phone=size == "phone")
    paths = {
        "leave": f"/u/{opt_out_token(world.vault, 'ann', 'email', 'marketing')}",
        "ended": own_page(world.vault, "ann", datetime(2026, 1, 1, tzinfo=UTC)),
    }
    page.open(at + paths.get(name, own_page(world.vault, "ann")))
    if name == "saved":
        page.click("button[value=save]")
        page.wait("document.querySelector('[role=status]') !== null")
    if name == "wrong":
        page.ask("document.getElementById('email').value = 'ana@'")
        page.ask("document.getElementById('phone').value = '+34 900 123 456'")
        page.click("button[value=contact]")
        page.wait("document.querySelector('[role=alert]') !== null")
    page.shot(SHOTS / f"{name}-{size}.png")
    assert SIZES[size][0] == page.ask("innerWidth")
    assert 0 >= page.ask("document.documentElement.scrollWidth - innerWidth"), "it must not be scrolled sideways"
    assert page.ask("parseFloat(getComputedStyle(document.body).fontSize)") >= 16, "or a phone enlarges the form"
    if name in ("preferences", "leave", "saved", "wrong"):
        assert smallest(page) >= FINGER


def test_a_screen_reader_hears_what_each_thing_is(page: Page, ann: tuple[World, str]) -> None:
    world, at = ann
    page.open(at + own_page(world.vault, "ann"))
    heard, words = page.named(), OWN["es"]
    controls = [(role, name) for role, name in heard if role in ("checkbox", "radio", "button", "textbox")]
    assert all(name for _, name in controls), controls
    assert ("button", words["save"]) in controls
    assert ("button", words["leave_button"]) in controls
    groups = {name for role, name in heard if role in ("group", "radiogroup")}
    assert {words["marketing"], words["first"], words["topics"], words["limit"], words["pause"]} <= groups
    fields = {name for role, name in controls if role == "textbox"}
    assert {words["new_email"], words["new_phone"]} == fields
    assert 1 == sum(role == "heading" and name == words["title"] for role, name in heard)
    assert "es" == page.ask("document.documentElement.lang")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(page: Page, ann: tuple[World, str], scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for all text."""
    world, at = ann
    value = [{"name": "prefers-color-scheme", "value": scheme}]
    page.call("Emulation.setEmulatedMedia", features=value)
    page.wide(*SIZES["phone"], phone=True)
    page.open(at + own_page(world.vault, "ann"))
    page.shot(SHOTS / f"preferences-{scheme}.png")
    worst = page.ask(
        """(() => {
      const light = c => {
        const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255)
          .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2];
      };
      const ground = e => {
        const c = getComputedStyle(e).backgroundColor;
        return /, 0\\)$/.test(c) && e.parentElement ? ground(e.parentElement) : c;
      };
      const texts = [...document.body.querySelectorAll('*')].filter(
        e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
      return Math.min(...texts.map(e => {
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
      }));
    })()"""
    )
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    assert worst >= 4.5


def test_it_is_used_by_the_keyboard_alone_and_without_script(page: Page, ann: tuple[World, str]) -> None:
    world, at = ann
    page.wide(*SIZES["desk"], phone=False)
    page.open(at + own_page(world.vault, "ann"))
    page.press("Tab", code=9)
    assert ["channel", "email"] == page.ask("[document.activeElement.name, document.activeElement.value]")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert "none" != page.ask(outline), "where one stands is seen"
    page.press(" ", text=" ", code=32)
    assert page.ask("document.activeElement.checked") is False
    for _ in range(40):
        if page.ask("document.activeElement.value") == "save":
            break
        page.press("Tab", code=9)
    page.press("Enter", text="\r", code=13)
    page.wait("document.querySelector('[role=status]') !== null")
    assert OWN["es"]["saved"] == page.ask("document.querySelector('[role=status]').innerText")
    assert page.ask("document.querySelector('[value=email]').checked") is False
    assert {("email", "marketing")} == stand(world)


def test_one_click_is_out_of_everything(page: Page, ann: tuple[World, str]) -> None:
    world, at = ann
    page.wide(*SIZES["phone"], phone=True)
    page.open(at + own_page(world.vault, "ann"))
    page.click("button[value=leave]")
    page.wait("document.querySelector('[role=status]') !== null")
    page.shot(SHOTS / "gone-phone.png")
    assert OWN["es"]["gone"] == page.ask("document.querySelector('[role=status]').innerText")
    assert 6 == len(stand(world))


def test_the_link_of_one_message_leaves_by_its_button(page: Page, ann: tuple[World, str]) -> None:
    world, at = ann
    page.open(f"{at}/u/{opt_out_token(world.vault, 'ann', 'email', 'marketing')}")
    assert set() == stand(world)
    page.click("button[value=channel]")
    page.wait("document.querySelector('[role=status]') !== null")
    assert {("email", "marketing")} == stand(world)

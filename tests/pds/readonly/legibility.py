"""What makes a page hard to read or to use, as a browser sees it."""

from __future__ import annotations

from typing import Final

from tests.browser import Browser

_LOOK: Final = """
(() => {
  const faults = [], root = document.documentElement;
  const expect = (good, fault) => { if (!good) faults.push(fault); };
  const name = e => `${e.tagName} "${e.textContent.trim().slice(0, 40)}"`;
  const channels = color => {
    const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (top, under) => under.map((c, i) => i < 3 ? top[i] * top[3] + c * (1 - top[3]) : 1);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const probe = document.createElement("i");
  probe.style.backgroundColor = "Canvas";
  document.body.append(probe);
  const canvas = channels(getComputedStyle(probe).backgroundColor);
  probe.remove();
  const ground = e => e === null
    ? canvas : over(channels(getComputedStyle(e).backgroundColor), ground(e.parentElement));

  // Not innerWidth: on a phone that grows with a page that is too wide.
  expect(root.scrollWidth <= root.clientWidth, `${root.scrollWidth} px, not ${root.clientWidth}`);
  expect(getComputedStyle(document.body).maxWidth === "736px", "no style sheet");
  expect(root.lang === "en", "no language");
  expect(document.title.trim() !== "", "no title");
  expect(document.querySelectorAll("h1").length === 1, "not one h1");
  for (const e of document.querySelectorAll("nav"))
    expect(e.ariaLabel, `${name(e)} has no label`);
  for (const e of document.querySelectorAll("time"))
    expect(!isNaN(Date.parse(e.dateTime)), `${name(e)} is no time`);
  for (const e of document.images)
    expect(e.alt && e.complete && e.naturalWidth > 0, `the picture ${e.src} is not shown`);

  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const e = words.currentNode.parentElement;
    if (words.currentNode.data.trim() === "" || e.getClientRects().length === 0) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize);
    const least = e.closest("small, code, pre, dt") ? 14 : 16;
    expect(size >= least, `${name(e)} is ${size} px large`);
    const under = ground(e), [low, high] = [over(channels(style.color), under), under]
      .map(luminance).sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    expect(contrast >= 4.5, `${name(e)} has a contrast of ${contrast.toFixed(2)}`);
  }

  const boxes = [...document.links].map(e => [e, e.getBoundingClientRect()]);
  boxes.forEach(([e, a], i) => {
    expect(a.width >= 24 && a.height >= 24, `${name(e)} is ${a.width} by ${a.height} px`);
    for (const [other, b] of boxes.slice(i + 1))
      expect(
        a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top,
        `${name(e)} covers ${name(other)}`
      );
  });
  return faults;
})()
"""


def faults_of_page(browser: Browser) -> list[str]:
    """What is wrong with the page that the browser shows, if anything is.

    Sizes are CSS pixels; contrasts, and what a finger can hit, are those of WCAG 2.2, level AA.
    """
    faults: list[str] = browser.evaluate(_LOOK)
    return faults

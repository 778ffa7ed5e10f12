"""A check for what must never be shown: errors, raw translation keys, the token."""

import json
import re
from typing import Any

from playwright.async_api import ConsoleMessage, Page, expect

from scripts.demo_lib.home import INTEGRATION
from scripts.demo_lib.progress import DemoError
from scripts.demo_lib.stage import Demo

BROKEN = (
    "hui-error-card, hui-warning, hui-error-badge, hui-error-section, "
    # Red alerts are allowed in Markdown, where the dashboard shows what is down, and in forms, as validation errors
    "ha-alert[alert-type=error]:not(ha-markdown-element *):not(ha-form *)"
)
RAW_KEY = re.compile(
    r"\b(component\.[a-z_]+\.|ui\.[a-z]+\.[a-z]|entity\.[a-z_]+\.|translation:|"
    r"UNKNOWN_TRANSLATION)",
)
KEY = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
TEXTS: Any = json.loads((INTEGRATION / "translations" / "en.json").read_text())
LOUD = (
    "custom_components.metaapi",
    "engineio.metaapi",
    "socketio.metaapi",
)
RECORD = re.compile(r"^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
ERROR = re.compile(r"^\S+ \S+ (ERROR|CRITICAL) ")

# All texts and attributes of the page, including shadow roots; then only the texts outside code.
READ_ALL = """() => {
  const all = [], prose = [];
  const read = (root, isProse) => {
    for (const node of root.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) {
        all.push(node.data);
        if (isProse) prose.push(node.data.trim());
      }
      if (node.nodeType !== Node.ELEMENT_NODE) continue;
      if (["SCRIPT", "STYLE"].includes(node.tagName)) continue;
      for (const each of node.attributes) all.push(each.value);
      const goesOn = isProse && !node.matches(".cm-editor, pre, code");
      if (node.shadowRoot) read(node.shadowRoot, goesOn);
      read(node, goesOn);
    }
  };
  read(document.body, true);
  return [all.join("\\n"), prose];
}"""

# Home Assistant reports a failed action with a toast, which is visible for a few seconds only.
RECORD_TOASTS = """
window.toasts = [];
window.addEventListener(
  "hass-notification", (event) => window.toasts.push(event.detail.message), true
);
"""


class Guard:
    """Checks the page and the log of Home Assistant."""

    def __init__(self, page: Page, demo: Demo) -> None:
        """Store the page and the demo to be checked."""
        self._page = page
        self._demo = demo
        self._secrets: list[str] = []
        self._console: list[str] = []

    async def begin(self, token: str) -> None:
        """Turn on all logs and start recording the page."""
        self.keep_secret(token)
        await self._page.add_init_script(RECORD_TOASTS)
        self._page.on("console", self._console_message)
        self._page.on("pageerror", lambda error: self._record(str(error)))
        await self.turn_on_logs()

    async def turn_on_logs(self) -> None:
        """Turn on all logs, which lasts until Home Assistant stops."""
        await self._demo.home.act("logger", "set_level", **dict.fromkeys(LOUD, "debug"))

    def keep_secret(self, token: str) -> None:
        """Add a token to look for, as a whole and by the part that differs from other tokens."""
        self._secrets += [token, token.split(".")[1][-60:]]

    def _console_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._record(message.text)

    def _record(self, text: str) -> None:
        # The frontend also logs errors that do not concern us
        if re.search("metaapi|translat", text, re.IGNORECASE):
            self._console.append(text)

    async def check(self) -> None:
        """Raise an error if anything is wrong."""
        await expect(self._page.locator(BROKEN)).to_have_count(0)
        text, prose = await self._page.evaluate(READ_ALL)
        if found := RAW_KEY.search(text):
            raise DemoError(f"A raw key is shown: {_around(text, found.start())}")
        if keys := list(filter(KEY.fullmatch, prose)):
            raise DemoError(f"Raw keys are shown: {keys}")
        self.find_secret("The page", text)
        if toasts := await self._toasts():
            raise DemoError(f"A toast was shown: {toasts}")
        if self._console:
            raise DemoError(f"The frontend complains: {self._console}")
        self._check_log()

    async def expect_toast(self, text: str) -> None:
        """Wait for an expected toast."""
        await expect(self._page.locator("ha-toast")).to_contain_text(text)
        toasts = await self._toasts()
        if len(toasts) != 1 or text not in toasts[0]:
            raise DemoError(f"One toast with {text!r} should have come, not {toasts}")

    async def _toasts(self) -> list[str]:
        """Return the toasts since the last call."""
        toasts: list[Any] = await self._page.evaluate("window.toasts.splice(0)")
        # An empty toast only dismisses the previous one
        return [str(toast) for toast in toasts if toast]

    def _check_log(self) -> None:
        text = self._demo.log.read_text(errors="replace")
        self.find_secret("The log", text)
        for record in RECORD.split(text.replace(str(self._demo.folder), "")):
            if ERROR.match(record) and "metaapi" in record:
                raise DemoError(f"The log has an error: {record[:2000]}")
            if "Detected that custom integration 'metaapi'" in record:
                raise DemoError(f"The log complains: {record[:2000]}")

    def find_secret(self, where: str, text: str) -> None:
        """Raise an error if a text contains a token that is or was in use."""
        for secret in self._secrets:
            if secret in text:
                before = text[: text.index(secret)][-80:]
                raise DemoError(f"{where} shows the token, after: {before}")


def _around(text: str, position: int) -> str:
    return text[max(0, position - 60) : position + 80]

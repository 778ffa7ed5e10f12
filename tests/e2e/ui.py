"""Parts of the frontend that several steps use."""

from playwright.async_api import Page, expect


class Flow:
    """The dialog of a config flow, subentry flow or repair."""

    def __init__(self, page: Page) -> None:
        """Locate the dialog."""
        self.root = page.locator("dialog-data-entry-flow")

    async def expect_title(self, title: str) -> None:
        """Wait for a step by its title."""
        await expect(self.root.locator(".dialog-title")).to_have_text(title)

    async def fill(self, field: str, text: str) -> None:
        """Fill in a text field."""
        await self.root.locator(f"input[name={field}]").fill(text)

    async def open_section(self, name: str) -> None:
        """Open a collapsed section."""
        await self.root.get_by_role("heading", name=name).click()

    async def submit(self) -> None:
        """Submit the form."""
        await self.press("Submit")

    async def press(self, name: str) -> None:
        """Press a button below the form."""
        footer = self.root.locator("ha-dialog-footer")
        await footer.get_by_role("button", name=name, exact=True).click()

    async def finish(self, button: str) -> None:
        """Finish the last step."""
        await self.press(button)
        await self.expect_gone()

    async def expect_gone(self) -> None:
        """Wait until the dialog is closed."""
        await expect(self.root.get_by_role("button")).to_have_count(0)


async def pick(page: Page, text: str, *, section: str | None = None) -> None:
    """Search in the open list, and choose the item with this text."""
    box = page.locator("ha-picker-combo-box")
    if section:
        await box.locator("ha-filter-chip").filter(has_text=section).click()
    await box.locator("input").fill(text)
    found = box.locator("ha-combo-box-item")
    # An item shows the name of the entity above that of its device
    for word in text.split():
        found = found.filter(has_text=word)
    await found.first.click()
    await expect(box).to_have_count(0)

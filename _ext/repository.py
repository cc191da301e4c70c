"""What needs the repository's address: from ``repository`` in _config.yml, or left out."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError


def name_repository(app: Sphinx, config: Config) -> None:
    """Buttons to the source of a page, and the canonical address of each page.

    The buttons of Jupyter Book's own key ``repository`` do not appear: what _config.yml says in
    ``html_theme_options`` replaces them.
    """
    if not config.repository:
        return
    host, owner, name = config.repository.removeprefix("https://").split("/")
    if host != "github.com":
        raise ConfigError(
            f"repository: expected https://github.com/OWNER/NAME, got {config.repository}"
        )
    config.html_theme_options |= {
        "repository_url": config.repository,
        "repository_branch": "main",
        "use_repository_button": True,
        "use_edit_page_button": True,
        "use_issues_button": True,
    }
    config.html_baseurl = config.html_baseurl or f"https://{owner.lower()}.github.io/{name}/"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("repository", "", "html", str)
    app.connect("config-inited", name_repository)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Templates of pages and mails, whose texts are in one language."""

from __future__ import annotations

import jinja2

from pds.translations.language import Language


def make_environment(
    loader: jinja2.BaseLoader, language: Language, *, escapes: bool = True
) -> jinja2.Environment:
    """Return an environment in which a value that is missing is an error.

    With `escapes`, values are written as text of HTML.
    """
    environment = jinja2.Environment(
        loader=loader,
        autoescape=escapes,  # noqa: S701 - off for plain text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    texts = language.texts
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        texts.gettext, texts.ngettext, newstyle=True
    )
    environment.globals["language"] = language
    return environment

"""Mail servers, and the senders of mails."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class EmailSettings(Group):
    """Outgoing mail. Without a server, mails are logged at level debug, or info in development."""

    smtp_url: str | None = Field(
        None,
        alias="PDS_EMAIL_SMTP_URL",
        description="smtp:// or smtps:// URL of the mail server",
        repr=False,
    )
    from_address: str | None = Field(
        None,
        alias="PDS_EMAIL_FROM_ADDRESS",
        description="Sender of mails, as an address or Name <address>",
    )
    disable_confirmation_link: bool = Field(
        False,
        alias="PDS_EMAIL_DISABLE_CONFIRMATION_LINK",
        description="Leave the link to the app out of confirmation mails",
    )
    moderation_smtp_url: str | None = Field(
        None,
        alias="PDS_MODERATION_EMAIL_SMTP_URL",
        description="URL of the mail server for admin.sendEmail",
        repr=False,
    )
    moderation_address: str | None = Field(
        None, alias="PDS_MODERATION_EMAIL_ADDRESS", description="Sender of admin.sendEmail"
    )

"""How people get and use accounts: secrets, invite codes, an entryway, OAuth clients."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class SecretSettings(Group):
    """Secrets and keys. Not shown by `repr`."""

    jwt_secret: str = Field(
        "", alias="PDS_JWT_SECRET", description="Required. Signs sessions", repr=False
    )
    admin_password: str = Field(
        "", alias="PDS_ADMIN_PASSWORD", description="Required. HTTP Basic, user admin", repr=False
    )
    dpop_secret: str | None = Field(
        None,
        alias="PDS_DPOP_SECRET",
        description=(
            "64 hex digits, for the nonces of OAuth clients; derived from PDS_JWT_SECRET if unset"
        ),
        repr=False,
    )
    plc_rotation_key_hex: str = Field(
        "",
        alias="PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
        description="Required. secp256k1 private key that controls did:plc accounts, 64 hex digits",
        repr=False,
    )
    plc_rotation_key_kms_id: str | None = Field(
        None,
        alias="PDS_PLC_ROTATION_KEY_KMS_KEY_ID",
        description="Not supported: a rotation key held in AWS KMS",
    )


class SignInSettings(Group):
    """What people need to sign in besides their password."""

    require_second_factor: bool = Field(
        False,
        alias="PDS_REQUIRE_SECOND_FACTOR",
        description="Whether all accounts need one; those that have none get codes by email",
    )


class InviteSettings(Group):
    """Whether an account needs an invite code, and how users earn codes."""

    required: bool = Field(
        True, alias="PDS_INVITE_REQUIRED", description="Whether createAccount needs a code"
    )
    interval_ms: int | None = Field(
        None,
        alias="PDS_INVITE_INTERVAL",
        description="Time in ms in which a user earns one code; none if unset",
    )
    epoch_ms: int = Field(
        0, alias="PDS_INVITE_EPOCH", description="Time before which no codes are earned, Unix ms"
    )


class EntrywaySettings(Group):
    """The server that handles the logins of accounts here. Set all of the first four or none."""

    url: str | None = Field(
        None,
        alias="PDS_ENTRYWAY_URL",
        description="Base URL of the entryway; this server owns logins if unset",
    )
    did: str | None = Field(None, alias="PDS_ENTRYWAY_DID", description="DID of the entryway")
    jwt_verify_key_hex: str | None = Field(
        None,
        alias="PDS_ENTRYWAY_JWT_VERIFY_KEY_K256_PUBLIC_KEY_HEX",
        description="secp256k1 public key of the entryway's tokens, in hex digits",
    )
    plc_rotation_key: str | None = Field(
        None,
        alias="PDS_ENTRYWAY_PLC_ROTATION_KEY",
        description="did:key that signs the entryway's PLC operations",
    )
    admin_token: str | None = Field(
        None,
        alias="PDS_ENTRYWAY_ADMIN_TOKEN",
        description="Admin password of the entryway; PDS_ADMIN_PASSWORD if unset",
        repr=False,
    )


class OAuthSettings(Group):
    """OAuth clients, and the captcha of the sign-up page."""

    trusted_clients: tuple[str, ...] = Field(
        (), alias="PDS_OAUTH_TRUSTED_CLIENTS", description="client_ids of trusted clients"
    )
    hcaptcha_site_key: str | None = Field(
        None, alias="PDS_HCAPTCHA_SITE_KEY", description="hCaptcha; all three or none"
    )
    hcaptcha_secret_key: str | None = Field(
        None, alias="PDS_HCAPTCHA_SECRET_KEY", description="hCaptcha", repr=False
    )
    hcaptcha_token_salt: str | None = Field(
        None, alias="PDS_HCAPTCHA_TOKEN_SALT", description="hCaptcha", repr=False
    )
    hcaptcha_verify_url: str = Field(
        "https://api.hcaptcha.com/siteverify",
        alias="PDS_HCAPTCHA_VERIFY_URL",
        description="Where solutions are verified",
    )

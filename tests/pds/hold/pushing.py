"""Users of other servers who push images: uploads, and notices of manifests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from pds.hold.hold import HOLD, Hold
from pds.hold.oci.digest import Digest, digest_of
from pds.hold.records import LAYER, manifest_uri
from repo.syntax import Did
from tests.pds.conftest import Pds, Reply
from tests.pds.hold.conftest import BOTH, HOLD_DID
from tests.pds.hold.registry import Registry
from tests.pds.identities import Signer, register_foreign_did

NOTIFY: Final = "io.atcr.hold.notifyManifest"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(text: str) -> Digest:
    """The digest of a blob with this text."""
    return digest_of(hashlib.sha256(text.encode()).digest())


@dataclass(slots=True)
class User:
    """Somebody with an account elsewhere."""

    pds: Pds
    signer: Signer

    @property
    def did(self) -> Did:
        return self.signer.did

    @property
    def hold(self) -> Hold:
        return self.pds.app[HOLD]

    @property
    def auth(self) -> dict[str, str]:
        """As a registry gets it: for any method."""
        token = self.signer.token(self.pds, "com.atproto.repo.getRecord", aud=HOLD_DID)
        return {"Authorization": f"Bearer {token}"}

    async def upload(self, text: str) -> Digest:
        """Upload a blob in one part."""
        await Registry(self.pds, self.hold, self.auth).push(text.encode())
        return digest(text)

    async def notify(self, *layers: str, name: str = "image", **changes: Any) -> Reply:
        """Tell of a pushed manifest with layers of these texts."""
        body = {
            "repository": "myapp",
            "userDid": self.did,
            "manifestDigest": digest(name),
            "manifest": manifest(*layers),
            **changes,
        }
        return await self.pds.post(NOTIFY, body, self.auth)

    async def push(self, *layers: str, name: str = "image", **changes: Any) -> Reply:
        """Upload the layers and the config of an image, and tell of it."""
        for text in (*layers, "config"):
            await self.upload(text)
        return await self.notify(*layers, name=name, **changes)

    def manifest_uri(self, name: str = "image") -> str:
        return manifest_uri(self.did, digest(name))


async def join(pds: Pds, *, permissions: Any = BOTH, tier: str | None = None) -> User:
    """A new member of the crew."""
    user = outsider(pds)
    await user.hold.crew.add(user.did, permissions=permissions, role="member", tier=tier)
    return user


def outsider(pds: Pds) -> User:
    """Somebody who is not in the crew."""
    return User(pds, register_foreign_did(pds))


def manifest(*layers: str, config: str = "config") -> dict[str, Any]:
    """A manifest as registries send it."""
    return {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"digest": digest(config), "size": len(config)},
        "layers": [
            {"digest": digest(text), "size": len(text), "mediaType": LAYER_TYPE} for text in layers
        ],
    }


async def layer_records(pds: Pds) -> list[Any]:
    """All layer records of the hold, oldest first."""
    reply = await pds.get(
        "com.atproto.repo.listRecords", repo=HOLD_DID, collection=LAYER, reverse="true", limit="100"
    )
    return [record["value"] for record in reply.json["records"]]

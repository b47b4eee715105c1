"""A third-party client at work: what apps do, over HTTP against a real process."""

from __future__ import annotations

import pytest
from atproto import Client, models
from atproto.exceptions import BadRequestError, UnauthorizedError

from tests.e2e.sdk import Network, Person, png

# The SDK hands bytes to httpx in a way that httpx gives up on.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

POST = "app.bsky.feed.post"


def rkey_of(uri: str) -> str:
    return uri.rpartition("/")[2]


def test_a_new_account_has_a_did_that_leads_here(network: Network, alice: Person) -> None:
    document = network.document(alice.did)
    assert document["alsoKnownAs"] == [f"at://{alice.handle}"]
    (service,) = document["service"]
    assert (service["type"], service["serviceEndpoint"]) == (
        "AtprotoPersonalDataServer",
        network.server.url,
    )
    anyone = network.client()
    assert anyone.com.atproto.identity.resolve_handle({"handle": alice.handle}).did == alice.did
    described = anyone.com.atproto.repo.describe_repo({"repo": alice.handle})
    assert described.handle_is_correct
    assert described.did == alice.did


def test_a_post_with_an_image_reads_back_with_its_bytes(network: Network, alice: Person) -> None:
    image = png(7, side=64)
    made = alice.client.send_image("look ünïcödé 🦋", image, "a picture")
    read = network.client().app.bsky.feed.post.get(alice.handle, rkey_of(made.uri))
    assert read.cid == made.cid
    assert read.value.text == "look ünïcödé 🦋"
    embed = read.value.embed
    assert isinstance(embed, models.AppBskyEmbedImages.Main)
    blob = embed.images[0].image
    assert (blob.mime_type, blob.size) == ("image/png", len(image))
    cid = blob.cid.encode()
    params = {"did": alice.did, "cid": cid}
    assert network.client().com.atproto.sync.get_blob(params) == image
    listed = network.client().com.atproto.sync.list_blobs({"did": alice.did})
    assert listed.cids == [cid]


def test_people_like_repost_follow_and_reply(alice: Person, bob: Person) -> None:
    post = alice.post("first")
    like = bob.client.like(post.uri, post.cid)
    repost = bob.client.repost(post.uri, post.cid)
    follow = bob.client.follow(alice.did)
    root = models.ComAtprotoRepoStrongRef.Main(uri=post.uri, cid=post.cid)
    reply = bob.post("second", reply_to=models.AppBskyFeedPost.ReplyRef(parent=root, root=root))
    read = alice.client.app.bsky
    liked = read.feed.like.get(bob.did, rkey_of(like.uri)).value
    assert (liked.subject.uri, liked.subject.cid) == (post.uri, post.cid)
    assert read.feed.repost.get(bob.did, rkey_of(repost.uri)).value.subject.uri == post.uri
    assert read.graph.follow.get(bob.did, rkey_of(follow.uri)).value.subject == alice.did
    replied = read.feed.post.get(bob.did, rkey_of(reply.uri)).value
    assert replied.reply is not None
    assert replied.reply.parent.uri == post.uri
    described = alice.client.com.atproto.repo.describe_repo({"repo": bob.did})
    assert set(described.collections) == {
        "app.bsky.feed.like",
        POST,
        "app.bsky.feed.repost",
        "app.bsky.graph.follow",
    }


def test_what_is_taken_back_is_gone(alice: Person, bob: Person) -> None:
    post = alice.post("regretted")
    like = bob.client.like(post.uri, post.cid)
    assert bob.client.unlike(like.uri)
    assert alice.client.delete_post(post.uri)
    with pytest.raises(BadRequestError, match="RecordNotFound"):
        bob.client.app.bsky.feed.post.get(alice.did, rkey_of(post.uri))
    assert bob.client.app.bsky.feed.like.list(bob.did).records == {}
    # Deleting what is not there succeeds too, as in the reference.
    assert alice.client.delete_post(post.uri)


def test_nobody_writes_to_anothers_repository(network: Network, alice: Person, bob: Person) -> None:
    record = models.AppBskyFeedPost.Record(text="forged", created_at="2026-01-01T00:00:00Z")
    with pytest.raises(UnauthorizedError, match="AuthenticationRequired"):
        bob.client.app.bsky.feed.post.create(alice.did, record)
    with pytest.raises(UnauthorizedError, match="AuthMissing"):
        network.client().app.bsky.feed.post.create(alice.did, record)
    assert alice.client.app.bsky.feed.post.list(alice.did).records == {}


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_of_a_list_join_to_the_whole(alice: Person, reverse: bool) -> None:
    texts = [f"post {number}" for number in range(7)]
    for text in texts:
        alice.post(text)
    seen: list[str] = []
    cursor = None
    for _ in range(len(texts)):
        page = alice.client.app.bsky.feed.post.list(
            alice.did, cursor=cursor, limit=3, reverse=reverse
        )
        seen += [record.text for record in page.records.values()]
        assert len(page.records) <= 3
        cursor = page.cursor
        if cursor is None:
            break
    # Newest first is the default.
    assert seen == (texts if reverse else texts[::-1])


def test_a_profile_is_made_then_changed(alice: Person) -> None:
    avatar = alice.client.upload_blob(png(1)).blob
    profiles = alice.client.app.bsky.actor.profile
    put = alice.client.com.atproto.repo.put_record
    for name in ("Alice", "Alice ✨"):
        put(
            models.ComAtprotoRepoPutRecord.Data(
                repo=alice.did,
                collection="app.bsky.actor.profile",
                rkey="self",
                record=models.AppBskyActorProfile.Record(display_name=name, avatar=avatar),
            )
        )
        assert profiles.get(alice.did, "self").value.display_name == name
    stored = profiles.get(alice.did, "self").value.avatar
    assert stored is not None
    assert stored.cid.encode() == avatar.cid.encode()


def test_an_app_password_opens_a_lesser_session(network: Network, alice: Person) -> None:
    made = alice.client.com.atproto.server.create_app_password({"name": "phone"})
    phone = network.log_in(alice.email, made.password)
    uri = phone.send_post("from the phone").uri
    assert alice.client.app.bsky.feed.post.get(alice.did, rkey_of(uri)).value.text
    with pytest.raises(BadRequestError, match="Bad token scope"):
        phone.com.atproto.server.create_app_password({"name": "another"})
    alice.client.com.atproto.server.revoke_app_password({"name": "phone"})
    with pytest.raises(UnauthorizedError, match="AuthenticationRequired"):
        network.log_in(alice.email, made.password)


def test_a_wrong_password_opens_nothing(network: Network, alice: Person) -> None:
    with pytest.raises(UnauthorizedError, match="Invalid identifier or password"):
        network.log_in(alice.handle, "a guess")


def test_a_session_is_kept_as_text_refreshed_and_ended(network: Network, alice: Person) -> None:
    restored = network.client()
    restored.login(session_string=alice.client.export_session_string(), fetch_bsky_profile=False)
    assert restored.com.atproto.server.get_session().did == alice.did
    before = restored.export_session_string()
    refresh = _refresh_headers(restored)
    refreshed = restored.com.atproto.server.refresh_session(headers=refresh)
    assert refreshed.did == alice.did
    assert refreshed.refresh_jwt not in before
    auth = {"Authorization": f"Bearer {refreshed.access_jwt}"}
    anyone = network.client()
    assert anyone.com.atproto.server.get_session(headers=auth).handle == alice.handle
    anyone.com.atproto.server.delete_session(
        headers={"Authorization": f"Bearer {refreshed.refresh_jwt}"}
    )
    with pytest.raises(BadRequestError, match="ExpiredToken"):
        anyone.com.atproto.server.refresh_session(
            headers={"Authorization": f"Bearer {refreshed.refresh_jwt}"}
        )


def test_a_handle_is_changed_everywhere(network: Network, alice: Person) -> None:
    renamed = f"renamed-{alice.handle}"
    alice.client.update_handle(renamed)
    anyone = network.client()
    assert anyone.com.atproto.identity.resolve_handle({"handle": renamed}).did == alice.did
    with pytest.raises(BadRequestError, match="Unable to resolve handle"):
        anyone.com.atproto.identity.resolve_handle({"handle": alice.handle})
    assert network.document(alice.did)["alsoKnownAs"] == [f"at://{renamed}"]
    network.log_in(renamed, alice.password)
    described = anyone.com.atproto.repo.describe_repo({"repo": alice.did})
    assert described.handle == renamed
    assert described.handle_is_correct


def test_a_taken_handle_is_refused(alice: Person, bob: Person) -> None:
    with pytest.raises(BadRequestError, match="Handle already taken"):
        alice.client.update_handle(bob.handle)


def test_preferences_are_kept(alice: Person, bob: Person) -> None:
    preferences = alice.client.app.bsky.actor
    wanted = [
        models.AppBskyActorDefs.AdultContentPref(enabled=True),
        models.AppBskyActorDefs.ContentLabelPref(label="spoiler", visibility="warn"),
    ]
    preferences.put_preferences({"preferences": wanted})
    assert preferences.get_preferences().preferences == wanted
    assert bob.client.app.bsky.actor.get_preferences().preferences == []


def _refresh_headers(client: Client) -> dict[str, str]:
    session = client._session
    assert session is not None
    return {"Authorization": f"Bearer {session.refresh_jwt}"}

"""The hold: the storage service of the ATCR container registry, with an actor of its own.

The hold is one actor of this server, at a `did:web`. Records in its repository say who may do what
(`records`, `crew`, `permissions`); the bytes of images are stored beside the blobs of accounts
(`oci`). Only `pds.server` uses this package.
"""

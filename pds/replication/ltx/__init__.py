"""LTX, the file format of Litestream: the pages that a range of transactions has changed.

=============  ====================================================================================
`names`        what the name of a file says: level, first and last transaction
`header`       the first 100 bytes, and the last 16
`reading`      the pages of a file, checked to the last byte
`writing`      a new file, which Litestream accepts
`merging`      several files as one: of each page the newest
`planning`     which files give a state of a database
`applying`     from files to a database
`upkeep`       which files to merge, and which to delete
=============  ====================================================================================

Every file starts with a header, then come the changed pages in order of their numbers, an empty
page header, an index of the pages and a trailer with a checksum. Numbers are big-endian.

    header 100 | page number 4, flags 2, size 4, an LZ4 block | … | 0: 6 | index | trailer 16
    header 100 | page number 4, flags 2, an LZ4 frame         | … | …          written before 0.5.3

A database is restored from a *snapshot*, which starts with transaction 1 and has every page, and
from *increments*, each of which starts no later than one transaction after the end of the file
before it.

Format: https://github.com/superfly/ltx
"""

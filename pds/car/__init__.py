"""CAR files of repositories for archivists: reading, checking, unpacking and packing.

    block_index, block_file   the position of each block in a file, in little memory
    repo_file                 a repository in a file or a pipe, ready to be read
    verification              all checks of a repository
    summary, blob_refs        its contents
    file_names                reversible file names for keys, on any file system
    unpacking, packing        a directory of JSON files, and back
    canonical, output_file    writing: one order of blocks, atomic files
    differences               between two repositories
    export, download, …       a copy of a live repository, and of its blobs
    blob_directory            finding and checking such blobs

Nothing here knows the command line or the server. Formats are in `repo`.
"""

"""Tools for repositories in CAR files: reading, checking, unpacking, packing.

    block_index, block_file   where each block is in a file, in little memory
    repo_file                 a repository in a file or a pipe, ready to be read
    verification              everything that can be wrong with it
    summary, blob_refs        its contents
    file_names                keys as file names, reversible, on any file system
    unpacking, packing        a directory of JSON files, and back
    canonical, output_file    writing: one order of blocks, files that are complete or absent
    differences               between two repositories
    export, download, …       a copy of a live repository, and of its blobs
    blob_directory            such blobs, found and checked

Nothing here knows the command line or the server. Formats are in `repo`.
"""

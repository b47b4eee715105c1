"""Read-only mode: repositories from CAR files, served as any server would serve them.

    car_files        which files there are
    loading          load one file into an actor store, checked
    loaders          the processes that do that
    catalog          what was loaded from which file, so that it is not loaded again
    library          keeps stores, accounts and events in step with the files
    watching         repeats that
    progress         how much is loaded
    methods, app     the reading half of the protocol; everything else is refused
    pages            the repositories for people with a browser

The stores are a cache that can be deleted at any time: the CAR files are the originals.
"""

"""What the pages of the administrator keep and know beyond what accounts and events are.

    sessions       browsers that have the administrator's password
    second_factor  the administrator's own second factor
    action_log     what administrators did
    samples        how much the server has had to do lately, for plots
    mail_log       mails sent and failed
    crawl_log      hosts that were asked to crawl
    examination    `pds doctor`, run beside the server

The tables are our own additions to the service database; the reference PDS ignores them.
"""

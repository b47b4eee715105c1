"""The pages below `/admin`, for who has the administrator's password."""

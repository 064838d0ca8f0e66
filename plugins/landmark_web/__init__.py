"""The pages of `landmark_ui`: a FastAPI app that Airflow's API server mounts.

`app` puts it together, `pages` has a module for each page or resource, `permissions` says who may
see and start what, `limits` how much and for how long.
"""

# What others use; the other rooms are its own.
__all__ = ["app", "told"]

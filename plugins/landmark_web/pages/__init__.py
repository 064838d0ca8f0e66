"""A module for each page or resource, which `landmark_web.app` takes in by its routers.

`router` has what is read, `forms` what is sent; both are made with the right that all of their
addresses need.
"""

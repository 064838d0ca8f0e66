"""The pages of `landmark_ui`: a FastAPI app that Airflow's API server mounts."""

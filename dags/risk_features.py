"""The DAG file: every DAG of the definitions that the settings name; a task process builds only its own."""

from airflow.sdk import get_parsing_context

from dags.build import dags_of
from features.settings import load

globals().update(dags_of(load(), only=get_parsing_context().dag_id))

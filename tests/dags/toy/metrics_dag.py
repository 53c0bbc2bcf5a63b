"""The airflow DAG that measures risk, as dags/risk_features.py makes it: the catalogue's own, with `asof` itself."""

from dags.build import dags_of
from features.settings import load

risk_metrics_daily = dags_of(load(), only="risk_metrics_daily")["risk_metrics_daily"]

"""When features are computed: definitions to plain tasks, plain tasks to Airflow. Without pyspark, feast and GX."""

"""Commands that speak to Kubeflow Pipelines and Kubernetes."""

"""Kubeflow pipelines: how the components are wired. Compiled files lie in ``compiled/``."""

"""The stages as Kubeflow components: each calls one function of daftt_core and logs its numbers.

Only kfp and the standard library are imported by a component's module; its body imports the rest,
inside the container. No ``from __future__ import annotations`` here: kfp reads the annotations.
"""

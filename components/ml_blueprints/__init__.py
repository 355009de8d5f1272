"""ML Blueprints: equivalent ML platforms on SageMaker, Vertex AI and Azure ML, as Pulumi components."""

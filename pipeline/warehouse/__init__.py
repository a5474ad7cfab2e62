"""The SQLMesh project and the engine that it runs on."""

"""The parts used when nothing is configured: PostgreSQL, llama-server and a model, all from wheels.

`postgres`: starts or joins a home's server. `data_directory`: where its files lie and which account runs it.
`postgres_watchdog`: a process of its own that keeps the server alive until its last user is gone.
`llama_server`: llama.cpp's HTTP server out of the wheel xllamacpp. `openvino_server`, `openvino_model`: the same on
OpenVINO. `server_process`: what both share as processes. `model`: all-MiniLM-L6-v2 as GGUF, made once.
`dumps`: what backups ask of the PostgreSQL.
"""

use super::*;

fn cause(log: &str, exit: Option<Exit>) -> Option<CauseKind> {
    let lines: Vec<_> = log.lines().map(str::to_owned).collect();
    likely_cause(&lines, exit).map(|cause| cause.kind)
}

/// Each line as the program in question writes it, with its usual prefix.
#[test]
fn each_cause_in_its_own_words() {
    use CauseKind::*;
    for (line, expected) in [
        (
            "(EngineCore_0 pid=181) ERROR 09-03 11:03:37 [core.py:712] ValueError: Free memory on device (7.34/139.72 GiB) on startup is less than desired GPU memory utilization (0.9, 125.75 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
            CudaOutOfMemory,
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 136.00 MiB. GPU 0 has a total capacity of 79.25 GiB",
            CudaOutOfMemory,
        ),
        (
            "ERROR 04-30 10:20:36 [core.py:396] ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
            KvCacheTooSmall,
        ),
        (
            "(EngineCore_DP0 pid=1094) ValueError: To serve at least one request with the models's max seq len (262144), (24.0 GiB KV cache is needed, which is larger than the available KV cache memory (3.18 GiB).",
            KvCacheTooSmall,
        ),
        (
            "ValueError: The model's max seq len (32768) is larger than the maximum number of tokens that can be stored in KV cache (7344).",
            KvCacheTooSmall,
        ),
        ("OSError: [Errno 98] Address already in use", PortTaken),
        (
            "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
            PortTaken,
        ),
        (
            "srv  llama_server: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
            PortTaken,
        ),
        (
            "OSError: Qwen/Qwen9 is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
            ModelNotFound,
        ),
        (
            "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/app/bge-m3'.",
            ModelNotFound,
        ),
        ("ValueError: Invalid repository ID or local directory specified: 'x/y'.", ModelNotFound),
        (
            "gguf_init_from_file: failed to open GGUF file 'x.gguf' (No such file or directory)",
            ModelNotFound,
        ),
        ("OSError: You are trying to access a gated repo.", ModelGated),
        ("vllm: error: unrecognized arguments: --max-num-sqs 8", UnknownFlag),
        (
            "vllm serve: error: argument --dtype: invalid choice: 'fp7' (choose from auto, half)",
            UnknownFlag,
        ),
        ("api_server.py: error: argument --max-num-seqs: invalid int value: 'many'", UnknownFlag),
        ("error: invalid argument: --max-num-seqs", UnknownFlag),
        ("error: unexpected argument '--foo' found", UnknownFlag),
        (
            "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU",
            NoCudaDriver,
        ),
        (
            "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory",
            NoCudaDriver,
        ),
        (
            "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG`",
            NoCudaDriver,
        ),
        (
            "Error response from daemon: could not select device driver \"nvidia\" with capabilities: [[gpu]]",
            NoCudaDriver,
        ),
        (
            "ValueError: World size (4) is larger than the number of available GPUs (1) in this node.",
            TooFewGpus,
        ),
        ("ModuleNotFoundError: No module named 'vllm'", ImportError),
        ("ImportError: cannot import name 'x' from 'transformers'", ImportError),
        ("sh: 1: exec: vllm: not found", MissingProgram),
        ("bash: line 1: vllm: command not found", MissingProgram),
        ("Illegal instruction (core dumped)", IllegalInstruction),
        (
            "RuntimeError: [enforce fail at alloc_cpu.cpp:116] err == 0. DefaultCPUAllocator: can't allocate memory",
            KilledByKernel,
        ),
        ("OSError: [Errno 28] No space left on device", NoSpace),
        (
            "Error response from daemon: pull access denied for vllm/vllm, repository does not exist",
            ImageNotFound,
        ),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            NoDockerDaemon,
        ),
    ] {
        let log = format!("INFO started\n{line}\nafterwards");
        let exit = if line.ends_with(": not found") { Exit::Code(127) } else { Exit::Code(1) };
        assert_eq!(cause(&log, Some(exit)), Some(expected), "{line}");
    }
}

#[test]
fn the_way_it_ended_speaks_where_the_log_does_not() {
    for (exit, expected) in [
        (Exit::Signal(9), CauseKind::KilledByKernel),
        (Exit::Code(137), CauseKind::KilledByKernel),
        (Exit::Signal(4), CauseKind::IllegalInstruction),
        (Exit::Code(132), CauseKind::IllegalInstruction),
        (Exit::Code(135), CauseKind::NoSpace),
        (Exit::Signal(15), CauseKind::ToldToEnd),
        (Exit::Code(127), CauseKind::MissingProgram),
    ] {
        assert_eq!(cause("nothing of note", Some(exit)), Some(expected), "{exit}");
    }
    assert_eq!(cause("nothing of note", Some(Exit::Code(1))), None);
    assert_eq!(cause("nothing of note", None), None);
}

#[test]
fn warnings_are_no_causes() {
    for line in [
        "WARNING 11-21 20:50:58 [interface.py:230] Failed to import from vllm._C: ModuleNotFoundError: No module named 'vllm._C'",
        "(APIServer pid=8213) WARNING 11-21 20:50:58 [cpu.py:1] ImportError: libtcmalloc",
        "(APIServer pid=1) INFO 11-21 20:50:58 [x.py:1] retrying after CUDA out of memory",
    ] {
        assert_eq!(cause(line, Some(Exit::Code(1))), None, "{line}");
    }
}

#[test]
fn the_evidence_is_the_line_without_its_prefix() {
    let line = "(EngineCore_0 pid=181) ERROR 09-03 11:03:37 [core.py:712] ValueError: No available memory for the cache blocks.";
    let cause = likely_cause(&[line.to_owned()], None).unwrap();
    assert_eq!(
        cause.evidence.as_deref(),
        Some("ValueError: No available memory for the cache blocks.")
    );
    let text = cause.to_string();
    assert!(text.contains("gpu-memory-utilization"), "{text}");
}

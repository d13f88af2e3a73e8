use super::*;
use safetensors::SafeTensors;

fn message(result: Result<(), OutputError>) -> String {
    let message = result.unwrap_err().to_string();
    assert!(!message.chars().any(char::is_control), "{message:?}");
    message
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn files_are_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    check_writable(&path).unwrap();
    assert!(names(folder.path()).is_empty(), "the check left something behind");
    write_atomically(&path, b"one").unwrap();
    write_atomically(&path, b"two").unwrap();
    check_writable(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(names(folder.path()), ["out"]);
}

#[cfg(unix)]
#[test]
fn permissions_are_those_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
    write_atomically(&ours, b"x").unwrap();
    std::fs::write(&plain, b"x").unwrap();
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&ours), mode(&plain));
}

#[cfg(unix)]
#[test]
fn a_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    std::fs::write(&real, b"old").unwrap();
    std::os::unix::fs::symlink("real", &link).unwrap();
    write_atomically(&link, b"new").unwrap();
    assert_eq!(std::fs::read(&real).unwrap(), b"new");
    assert!(link.is_symlink());
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    for (path, expected) in [
        (folder.path().to_path_buf(), "cannot write: a directory, expected a file or nothing there"),
        (folder.path().join("no/out"), "no/out: cannot write: its parent does not exist, expected an existing folder"),
        (folder.path().join("x\ny/out"), "x\\ny/out: cannot write: its parent does not exist"),
        (file.join("out"), "file/out: cannot write: "),
        (folder.path().join("new/"), "new/: cannot write: the path of a folder"),
        (folder.path().join(".."), "cannot write: the path of a folder"),
        (PathBuf::new(), "cannot write: an empty path, expected a file name"),
        #[cfg(target_os = "linux")]
        (PathBuf::from("/proc/out"), "/proc/out: cannot write: "),
        (PathBuf::from("/dev/null"), "/dev/null: cannot write: a pipe, device or socket"),
    ] {
        for result in [check_writable(&path), write_atomically(&path, b"x")] {
            let message = message(result);
            assert!(message.contains(expected), "{expected} is not in: {message}");
        }
    }
    assert_eq!(names(folder.path()), ["file"]);
    assert!(std::fs::metadata("/dev/null").is_ok_and(|m| !m.is_file()));
}

#[test]
fn a_bare_name_is_written_in_the_current_folder() {
    check_writable(Path::new("no-such-file-yet")).unwrap();
    assert!(!Path::new("no-such-file-yet").exists());
}

#[test]
fn bytes_do_not_depend_on_order() {
    let keys = ["seed", "arch", "device", "b", "a", "quote\"\n"];
    let build = |order: &mut dyn Iterator<Item = usize>| {
        let mut out = OutTensors::new();
        for i in order {
            let name = format!("t{i}");
            out = if i % 2 == 0 { out.f32(&name, &[1, 2], &[i as f32, -0.0]) } else { out.u8(&name, &[3], &[1, 0, 1]) };
            out = out.metadata(keys[i], &format!("value {i}"));
        }
        out.to_bytes()
    };
    let bytes = build(&mut (0..6));
    for _ in 0..20 {
        assert_eq!(bytes, build(&mut (0..6).rev()));
    }
    let (length, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(length % 8, 0);
    let words = metadata.metadata().as_ref().unwrap();
    assert_eq!(words.len(), 6);
    assert_eq!(words["quote\"\n"], "value 5");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 6);
    assert_eq!(file.tensor("t1").unwrap().data(), [1, 0, 1]);
    assert_eq!(file.tensor("t4").unwrap().data(), [4f32.to_le_bytes(), (-0f32).to_le_bytes()].concat());
}

#[test]
fn tensors_and_metadata_may_each_be_absent() {
    let empty = OutTensors::new().to_bytes();
    assert!(SafeTensors::deserialize(&empty).unwrap().is_empty());
    let words = OutTensors::new().metadata("a", "b").to_bytes();
    assert!(SafeTensors::read_metadata(&words).unwrap().1.metadata().is_some());
    let tensors = OutTensors::new().u8("a", &[0], &[]).to_bytes();
    assert!(SafeTensors::read_metadata(&tensors).unwrap().1.metadata().is_none());
}

#[test]
#[should_panic(expected = "tensor a: shape [2, 2] for 3 numbers")]
fn a_shape_must_fit() {
    let _ = OutTensors::new().u8("a", &[2, 2], &[1, 2, 3]);
}

#[test]
fn what_is_written_can_be_loaded_as_a_workload() {
    let data = [0.5f32; 4];
    let shape = [1, 1, 2, 2];
    let bytes = OutTensors::new()
        .f32("q", &shape, &data)
        .f32("k", &shape, &data)
        .f32("v", &shape, &data)
        .metadata("mode", "causal")
        .metadata("scale", "0.25")
        .to_bytes();
    let Ok(crate::workload::Workload::Trace { trace, .. }) = crate::workload::parse(&bytes, "t") else { panic!() };
    assert_eq!(trace.scale, 0.25);
}

//! scratch
fn main() {
    for name in ["tiny", "eighth"] {
        let config = spatten_arch::ArchConfig::named(name).unwrap();
        let design = spatten_hw::registry::block("attention_core", &config).unwrap();
        match design {
            Err(e) => println!("{name}: {e}"),
            Ok(d) => {
                let dir = format!("/tmp/core_{name}");
                std::fs::create_dir_all(&dir).unwrap();
                let mut list = String::new();
                for m in &d.modules {
                    std::fs::write(format!("{dir}/{}.v", m.name), &m.text).unwrap();
                    list += &format!("{}.v\n", m.name);
                }
                std::fs::write(format!("{dir}/files.f"), list).unwrap();
            }
        }
    }
}

//! What the file may say.

use super::*;

fn read(text: &str) -> Result<Description, Refusal> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accept.yaml");
    std::fs::write(&path, text).unwrap();
    Description::read(&path)
}

fn said(text: &str) -> String {
    let said = read(text).unwrap_err().to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}

#[test]
fn the_example_is_a_description() {
    let read = read(EXAMPLE).unwrap();
    assert_eq!(read.clusters.len(), 2);
    assert_eq!((read.ocm, read.operators), (Choice::Installed, Operators::Start));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let typo = said(&EXAMPLE.replacen("bucket:", "bukcet:", 1));
    assert!(typo.contains("unknown field `bukcet`") && typo.contains("line"), "{typo}");
    let wrong = said(&EXAMPLE.replace("ocm: installed", "ocm: yes"));
    assert!(wrong.contains("ocm") && wrong.contains("sandbox"), "{wrong}");
    let twice = said(&EXAMPLE.replace("name: dr2", "name: dr1"));
    assert!(twice.contains("both clusters are called dr1"), "{twice}");
}

#[test]
fn installed_storage_goes_with_pods_and_says_what_it_is() {
    let both = EXAMPLE
        .replace("storage: sandbox", "storage: installed")
        .replace("applications: sandbox", "applications: installed");
    for part in ["storage", "applications"] {
        let said = said(&EXAMPLE.replace(&format!("{part}: sandbox"), &format!("{part}: installed")));
        assert!(said.contains("storage: ") && said.contains("write the same for both"), "{said}");
    }
    let said_with = |fields: &str| said(&format!("{both}\n{fields}"));
    assert!(said_with("").contains("no storageClass; add `storageClass:`"));
    assert!(said_with("storageClass: a").contains("no schedulingInterval; add"));
    assert!(said_with("storageClass: a\nimage: ''").contains("image is empty; write one"));
    for wrong in ["30s", "m", "0m", "1w", "-1m"] {
        let said = said_with(&format!("storageClass: a\nschedulingInterval: {wrong}"));
        assert!(said.contains(&format!("schedulingInterval is \"{wrong}\"")) && said.contains("5m"), "{said}");
    }
    let policy = both.replace("operators: start", "operators: installed\npolicy: gold");
    let twice = said(&format!("{policy}\nstorageClass: a\nschedulingInterval: 5m"));
    assert!(twice.contains("remove schedulingInterval"), "{twice}");
    assert!(said(&format!("{EXAMPLE}\nimage: busybox")).contains("image is written, and storage: sandbox"));

    let pods = |text: &str| match read(text).unwrap().writers() {
        Writers::Pods(pods) => (pods.storage_class, pods.image),
        Writers::Simulated => panic!("no pods: {text}"),
    };
    let fields = "storageClass: a\nschedulingInterval: 1d";
    assert_eq!(pods(&format!("{both}\n{fields}")), ("a".to_owned(), "busybox".to_owned()));
    assert_eq!(pods(&format!("{policy}\nstorageClass: a\nimage: r/b:1")), ("a".to_owned(), "r/b:1".to_owned()));
    assert_eq!(read(EXAMPLE).unwrap().writers(), Writers::Simulated);
}

#[test]
fn installed_operators_have_a_policy() {
    let said = said(&EXAMPLE.replace("operators: start", "operators: installed"));
    assert!(said.contains("add `policy:`"), "{said}");
}

#[test]
fn keys_come_from_a_file_or_from_variables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, "[default]\naws_access_key_id = one\nAWS_SECRET_ACCESS_KEY=\"two=2\"\n").unwrap();
    assert_eq!(keys_of_file("dr1", &path).unwrap(), ("one".to_owned(), "two=2".to_owned()));
    std::fs::write(&path, "AWS_ACCESS_KEY_ID=one\n").unwrap();
    let said = keys_of_file("dr1", &path).unwrap_err().to_string();
    assert!(said.contains("has no line AWS_SECRET_ACCESS_KEY=…") && !said.contains("one"), "{said}");
    let said = variable("dr1", "KAEDAMA_NO_SUCH_VARIABLE").unwrap_err().to_string();
    assert!(said.contains("KAEDAMA_NO_SUCH_VARIABLE"), "{said}");
}

//! The real Terraform over code of its own, which anybody may destroy.

use std::collections::BTreeMap;

use serde_json::json;
use understudy_lab::terraform::{self, Code, TOKEN_VARIABLE};

use crate::{conforms, suite};

/// What the code is given.
const TOKEN: &str = "a-token-of-the-cloud";

/// Something that takes longer to make and to destroy than a look, and an output.
const CODE: &str = r#"
variable "size" { type = number }
variable "token" { type = string }
resource "terraform_data" "node" {
  input = var.size
  provisioner "local-exec" { command = "sleep 6" }
}
output "size" { value = terraform_data.node.output }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn infrastructure_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("code");
    let code = Code::initialised(&place, CODE, &[("bz", "size = 1\n")], TOKEN).unwrap();
    code.begin_workspace("bz").unwrap();
    code.by_hand("bz", &["apply", "-auto-approve", "-var-file=bz.tfvars"])
        .unwrap();
    let binding = terraform::binding(code.program(), &[("zone", code.folder())], &["bz"]);
    let things = json!({ "site": "bz", "stack": "zone", "unknown-stack": "nobody" });
    let allow = ["ensure-applied", "ensure-destroyed"];
    let suites = [suite("infrastructure", things, &allow)];
    let secrets = BTreeMap::from([(TOKEN_VARIABLE.to_owned(), TOKEN.to_owned())]);
    let tested = conforms(folder.path(), "terraform", &[binding], &suites, &secrets).await;
    tested.leaves_out(&[]);
    // As it was found.
    assert_eq!(
        code.by_hand("bz", &["output", "-raw", "size"]).unwrap(),
        "1"
    );
}

//! What a container host costs in calls to vCenter.

use vsphere::{DatastorePath, Device, DeviceChange, DeviceOp, PoolConfig, VmSpec};

use crate::lab::{Lab, pool, vm_folder};
use crate::vms::appliance;

/// The steps of a whole creation, as a controller takes them.
#[tokio::test]
async fn a_whole_container_host_takes_at_most_thirty_calls() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let (parent, root) = (pool(&engine), vm_folder(&engine));
    // The attribute is defined once for a vCenter, and an image is uploaded once for a datastore.
    let other = engine.create_folder(&root, "other").await.unwrap();
    engine.set_mark(&other, "x").await.unwrap();
    let images = DatastorePath::new("LocalDS_0", "images");
    let image = images.join("appliance.iso");
    let content = futures::stream::iter([Ok(bytes::Bytes::from_static(b"image"))]);
    engine.upload(&image, 5, content).await.unwrap();
    lab.forget_calls().await;

    let pool = engine
        .create_pool(&parent, "vch1-1234", &PoolConfig::default())
        .await
        .unwrap();
    engine.set_mark(&pool, "uid").await.unwrap();
    engine.update_pool(&pool, Some("vch1"), None).await.unwrap();
    let folder = engine.create_folder(&root, "vch1-1234").await.unwrap();
    engine.set_mark(&folder, "uid").await.unwrap();
    engine.rename(&folder, "vch1").await.unwrap();
    engine.search_directory(&images, "*.iso").await.unwrap();
    let vm = engine
        .create_vm(&folder, &pool, &appliance(&engine, "vch1"))
        .await
        .unwrap();
    engine
        .make_directory(&DatastorePath::new("LocalDS_0", "VIC"))
        .await
        .unwrap();
    let ide = engine.read(|inventory| inventory.vms[&vm].device_key("VirtualIDEController").unwrap());
    let device = Device::CdromIso {
        key: -1,
        controller_key: ide,
        unit: 0,
        path: image.to_string(),
    };
    let spec = VmSpec {
        devices: vec![DeviceChange {
            op: DeviceOp::Add,
            device,
        }],
        extra_config: vec![("guestinfo.vice./init/common/id".to_owned(), vm.to_string())],
        ..VmSpec::default()
    };
    engine.reconfigure_vm(&vm, &spec).await.unwrap();
    engine.power_on(&vm).await.unwrap();

    let calls = lab.calls().await;
    assert!(calls.len() <= 30, "{} calls: {calls:?}", calls.len());
    assert!(
        !calls.iter().any(|call| call.starts_with("Retrieve")),
        "nothing needs to be read: {calls:?}"
    );
}

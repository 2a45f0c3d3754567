//! The description of an appliance: one virtual machine with one disk.
//!
//! Source: DMTF DSP0243; resource types are those of CIM's
//! `CIM_ResourceAllocationSettingData`, the operating system that of
//! `CIM_OperatingSystem`.

use crate::{
    sparse::Sparse,
    writer::{Firmware, Options, options::Machine},
};

/// `OSType` of a Linux of 64 bits without a distribution's own number.
const OS_LINUX_64: u32 = 101;
/// VMware's hardware version: ESXi 6.7 U2.
const HARDWARE: &str = "vmx-15";

/// The description, for a VMDK file of `file_bytes`.
pub(super) fn render(disk: &Sparse, file_bytes: u64, options: &Options) -> String {
    let Machine { name, network, guest, .. } = &options.machine;
    let (name, network, guest) = (escape(name), escape(network), escape(guest));
    let (capacity, used) = (disk.len(), disk.data_len());
    let hardware = hardware(&options.machine, &network);
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:href="image.vmdk" ovf:id="file1" ovf:size="{file_bytes}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" ovf:populatedSize="{used}"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="{network}">
      <Description>The network of the virtual machine</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A virtual machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="{OS_LINUX_64}" vmw:osType="{guest}">
      <Info>The operating system</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>{HARDWARE}</vssd:VirtualSystemType>
      </System>
{hardware}    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#
    )
}

/// The items, and VMware's settings.
fn hardware(machine: &Machine, network: &str) -> String {
    let Machine { cpus, memory_mib, secure_boot, .. } = machine;
    let cpu_units = ("AllocationUnits", "hertz * 10^6".to_owned());
    let memory_units = ("AllocationUnits", "byte * 2^20".to_owned());
    let quantity = |number: u64| ("VirtualQuantity", number.to_string());
    let parent = || ("Parent", "3".to_owned());
    let items = [
        item(1, 3, &format!("{cpus} virtual CPUs"), &[cpu_units, quantity(u64::from(*cpus))]),
        item(2, 4, &format!("{memory_mib} MiB of memory"), &[memory_units, quantity(*memory_mib)]),
        item(
            3,
            6,
            "SCSI controller 0",
            &[("Address", "0".into()), ("ResourceSubType", "VirtualSCSI".into())],
        ),
        item(
            4,
            17,
            "Disk 1",
            &[("AddressOnParent", "0".into()), ("HostResource", "ovf:/disk/vmdisk1".into()), parent()],
        ),
        item(
            5,
            10,
            "Network adapter 1",
            &[
                ("AddressOnParent", "7".into()),
                ("AutomaticAllocation", "true".into()),
                ("Connection", network.to_owned()),
                ("ResourceSubType", "VmxNet3".into()),
            ],
        ),
    ];
    let firmware = match machine.firmware {
        Firmware::Efi => "efi",
        Firmware::Bios => "bios",
    };
    items.concat()
        + &setting("firmware", firmware)
        + &setting("bootOptions.efiSecureBootEnabled", &secure_boot.to_string())
}

/// One device. The schema wants elements in the order of their names.
fn item(id: u32, resource_type: u32, name: &str, more: &[(&str, String)]) -> String {
    let mut fields = vec![
        ("ElementName", name.to_owned()),
        ("InstanceID", id.to_string()),
        ("ResourceType", resource_type.to_string()),
    ];
    fields.extend_from_slice(more);
    fields.sort();
    let line = |(key, value): &(&str, String)| format!("        <rasd:{key}>{value}</rasd:{key}>\n");
    let fields: String = fields.iter().map(line).collect();
    format!("      <Item>\n{fields}      </Item>\n")
}

fn setting(key: &str, value: &str) -> String {
    format!("      <vmw:Config ovf:required=\"false\" vmw:key=\"{key}\" vmw:value=\"{value}\"/>\n")
}

/// Text in XML; characters that XML cannot hold become blanks.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

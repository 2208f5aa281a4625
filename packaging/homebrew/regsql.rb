# For a tap; `url` and `sha256` are filled in by the release (docs/releasing.md).
class Regsql < Formula
  desc "See with SQL what a Docker/OCI registry has on disk, and delete it safely"
  homepage "https://regsql.example.com"
  url "https://regsql.example.com/releases/regsql-0.2.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    generate_completions_from_executable(bin/"regsql", "completions")
    system bin/"regsql", "man", "--out", "man"
    man1.install Dir["man/*.1"]
  end

  test do
    assert_match "rare-layers", shell_output("#{bin}/regsql demo #{testpath}/demo")
  end
end

// The one function that applies rewrites, on rewrites made for the purpose: what it refuses, checks and
// records.
#include "nn/apply_rewrite.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "nn/decoder.h"
#include "nn/probe.h"
#include "support/random_model.h"

namespace martlet::nn {
namespace {

constexpr ArgumentDeclaration kPattern[] = {{"pattern", ArgumentType::kPattern, "where", "**.q_proj"}};

/// A rewrite whose whole doing is `apply`.
Rewrite rewrite_of(std::string_view name,
                   void (*apply)(TreeEditor&, const Arguments&, const RewriteContext&)) {
  Rewrite rewrite;
  rewrite.name = name;
  rewrite.arguments = kPattern;
  rewrite.apply = apply;
  return rewrite;
}

void nothing(TreeEditor&, const Arguments&, const RewriteContext&) {}

std::shared_ptr<AffineLinear> linear_with_values(int64_t in, int64_t out) {
  auto linear = std::make_shared<AffineLinear>(in, out, false);
  linear->weight.set(Tensor::zeros({out, in}, DType::kF32));
  return linear;
}

std::string failure(const ModulePtr& root, const RewriteRequest& request,
                    std::vector<const Rewrite*> catalogue, RewriteHistory history = {}) {
  try {
    apply_rewrite(root, request, catalogue, history);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was refused";
}

class ApplyRewrite : public ::testing::Test {
 protected:
  std::shared_ptr<Model> model_ = martlet::testing::random_llama(5);
};

TEST_F(ApplyRewrite, RecordsWhatItChanged) {
  const Rewrite halve =
      rewrite_of("halve", [](TreeEditor& tree, const Arguments& arguments, const RewriteContext&) {
        for (const std::string& path : tree.find(arguments.text("pattern"), Linear::kRole)) {
          const auto linear = std::dynamic_pointer_cast<AffineLinear>(tree.innermost(path));
          tree.set(path, linear->weight, ops::Weight(Tensor::zeros(linear->weight.shape(), DType::kBF16)));
        }
      });
  RewriteHistory history;
  apply_rewrite(model_, {"halve", {}}, std::vector<const Rewrite*>{&halve}, history);
  ASSERT_EQ(history.size(), 1u);
  EXPECT_EQ(history[0].changed,
            (std::vector<std::string>{"layers.1.attention.q_proj", "layers.0.attention.q_proj"}));
  EXPECT_EQ(history[0].before.parameters, history[0].after.parameters);
  EXPECT_EQ(history[0].before.bytes - history[0].after.bytes, 2 * 32 * 32 * 2);
  EXPECT_TRUE(history[0].to_string().starts_with("halve pattern=**.q_proj: 2 modules, "))
      << history[0].to_string();
}

TEST_F(ApplyRewrite, ASkippedRewriteChangesNothingAndIsRecorded) {
  const Rewrite broken = rewrite_of(
      "broken", [](TreeEditor&, const Arguments&, const RewriteContext&) { failed("it was applied"); });
  RewriteHistory history;
  apply_rewrite(model_, {"broken", {}}, std::vector<const Rewrite*>{&broken}, history, {nullptr, {"broken"}});
  ASSERT_EQ(history.size(), 1u);
  EXPECT_TRUE(history[0].skipped);
}

TEST_F(ApplyRewrite, AnUnknownNameOrArgumentIsToldWithTheNearest) {
  const Rewrite known = rewrite_of("nothing", nothing);
  EXPECT_NE(failure(model_, {"nothign", {}}, {&known}).find("did you mean nothing"), std::string::npos);
  RewriteRequest request{"nothing", {}};
  request.arguments.set("patern", "*");
  EXPECT_NE(failure(model_, request, {&known}).find("did you mean pattern"), std::string::npos);
}

TEST_F(ApplyRewrite, APatternWithoutAModuleOfTheRoleIsRefused) {
  const Rewrite known =
      rewrite_of("known", [](TreeEditor& tree, const Arguments& arguments, const RewriteContext&) {
        tree.find(arguments.text("pattern"), Linear::kRole);
      });
  RewriteRequest request{"known", {}};
  request.arguments.set("pattern", "layers.9");
  EXPECT_NE(failure(model_, request, {&known}).find("matches no module"), std::string::npos);
  request.arguments.set("pattern", "layers.0");
  EXPECT_NE(failure(model_, request, {&known}).find("none of them is a Linear"), std::string::npos);
}

TEST_F(ApplyRewrite, RefusesToFollowWhatItCannotFollow) {
  constexpr std::pair<std::string_view, std::string_view> kRefused[] = {
      {"first", "it has eaten the weights"}};
  const Rewrite first = rewrite_of("first", nothing);
  Rewrite second = rewrite_of("second", nothing);
  second.refuses_after = kRefused;
  RewriteHistory history;
  apply_rewrite(model_, {"first", {}}, std::vector<const Rewrite*>{&first, &second}, history);
  EXPECT_EQ(failure(model_, {"second", {}}, {&first, &second}, history),
            "second cannot follow first: it has eaten the weights");
}

TEST_F(ApplyRewrite, AReplacementOfOtherWidthsIsCaughtAfterwards) {
  const Rewrite wide = rewrite_of("wide", [](TreeEditor& tree, const Arguments&, const RewriteContext&) {
    tree.replace("layers.0.attention.q_proj", linear_with_values(32, 64));
  });
  EXPECT_EQ(failure(model_, {"wide", {}}, {&wide}),
            "after wide: layers.0.attention.q_proj: its sizes are not what they were");
}

TEST_F(ApplyRewrite, AModuleWithoutValuesIsCaughtAfterwards) {
  const Rewrite empty = rewrite_of("empty", [](TreeEditor& tree, const Arguments&, const RewriteContext&) {
    tree.replace("layers.0.attention.q_proj", std::make_shared<AffineLinear>(32, 32, false));
  });
  EXPECT_NE(failure(model_, {"empty", {}}, {&empty}).find("q_proj.weight: the rewrite left"),
            std::string::npos);
}

TEST_F(ApplyRewrite, AModuleOfAnotherRoleIsRefusedAtOnce) {
  const Rewrite wrong = rewrite_of("wrong", [](TreeEditor& tree, const Arguments&, const RewriteContext&) {
    tree.replace("layers.0.attention", linear_with_values(32, 32));
  });
  EXPECT_NE(failure(model_, {"wrong", {}}, {&wrong}).find("TokenMixer"), std::string::npos);
}

TEST_F(ApplyRewrite, ATieThatIsLostIsCaughtAfterwards) {
  const auto decoder = std::dynamic_pointer_cast<DecoderModel>(model_);
  const auto table = std::dynamic_pointer_cast<TableEmbedding>(decoder->embed_tokens.get());
  const auto head = std::dynamic_pointer_cast<AffineLinear>(decoder->lm_head.get());
  head->weight.tie(table->weight);
  const Rewrite untie = rewrite_of("untie", [](TreeEditor& tree, const Arguments&, const RewriteContext&) {
    tree.replace("lm_head", linear_with_values(32, 97));
  });
  EXPECT_NE(failure(model_, {"untie", {}}, {&untie}).find("shared its value"), std::string::npos);
}

TEST_F(ApplyRewrite, PathsGoThroughWrappers) {
  RewriteHistory history;
  RewriteRequest request{"probe", {}};
  request.arguments.set("pattern", "layers.0.**");
  const Rewrite mark =
      rewrite_of("mark", [](TreeEditor& tree, const Arguments& arguments, const RewriteContext&) {
        for (const std::string& path : tree.find(arguments.text("pattern"), Linear::kRole))
          tree.replace(path, linear_with_values(32, 32));
      });
  const std::vector<const Rewrite*> catalogue{&kProbe, &mark};
  apply_rewrite(model_, request, catalogue, history);
  apply_rewrite(model_, {"mark", {}}, catalogue, history);
  EXPECT_EQ(module_at(*model_, "layers.0.attention.q_proj")->kind(), "Probe") << "the wrapper stays outside";
  EXPECT_EQ(TreeEditor(model_).innermost("layers.0.attention.q_proj")->kind(), "AffineLinear");
  int weights = 0;
  walk_parameters(*model_, [&](const std::string& path, Parameter&) {
    weights += path == "layers.0.attention.q_proj.weight";
  });
  EXPECT_EQ(weights, 1);
}

}  // namespace
}  // namespace martlet::nn
